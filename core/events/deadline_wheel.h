// Deadlines of descriptors, set, moved and cleared in O(1), because every request moves one. A hashed timing wheel
// (Varghese and Lauck 1987, scheme 6). It is coarse, because time-outs of seconds need no finer grain. It is lazy: a
// deadline that moves or is cleared leaves its descriptor in its slot, and the wheel checks it when that slot passes.
// So a request costs a store or two, and a descriptor moves once per time-out.
// Times are in the unit of the caller's clock: ms in the servers, ns in the load client. They are never negative.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/base/check.h"

namespace bakeoff {

class DeadlineWheel {
 public:
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  // REQUIRES: 0 <= fd < descriptors for every later call. granularity: how late a deadline may be found.
  explicit DeadlineWheel(int descriptors, std::int64_t granularity = 50)
      : granularity_(granularity),
        times_(static_cast<std::size_t>(descriptors)),
        links_(first_descriptor + static_cast<std::size_t>(descriptors)) {
    BAKEOFF_CHECK(granularity > 0);
    for (std::uint32_t head = 0; head < first_descriptor; ++head) links_[head] = {head, head};
  }

  // Sets or moves the deadline of fd. `never` clears it.
  void set(int fd, std::int64_t deadline) {
    Times& times = times_of(fd);
    deadlines_ += static_cast<std::size_t>(deadline != never);
    deadlines_ -= static_cast<std::size_t>(times.deadline != never);
    times.deadline = deadline;
    // Its slot comes no later than the deadline wants it, so it may stay there. (Without a slot, slot_time is `never`.)
    if (times.slot_time - granularity_ >= deadline) put_into_slot(fd);
  }
  void clear(int fd) { set(fd, never); }

  // Clears each deadline at or before now and calls expired(fd); a deadline that passed less than the granularity
  // ago may wait for a later call. `expired` may call set() and clear(). Cost: the slots that passed and the
  // descriptors in them.
  template <class Expired>
  void expire(std::int64_t now, Expired expired) {
    const std::int64_t now_tick = now / granularity_;
    passed_tick_ = std::max(passed_tick_, now_tick);
    if (now_tick < earliest_tick_) return;
    // However long ago the last call was, one lap sees every slot.
    std::int64_t tick = next_used(std::max(earliest_tick_, now_tick - slots + 1));
    for (; tick <= now_tick; tick = next_used(tick + 1)) {
      // `expired` may put descriptors into this very slot, a lap ahead, and they must not be met again here: so what is
      // in the slot is moved into a list of its own first.
      move_to_passed(slot_of(tick));
      while (links_[passed_list].next != passed_list) {
        const std::uint32_t node = links_[passed_list].next;
        const int fd = static_cast<int>(node - first_descriptor);
        Times& times = times_of(fd);
        unlink(node);
        times.slot_time = never;
        if (times.deadline <= now) {
          clear(fd);
          expired(fd);
        } else if (times.deadline != never) {
          put_into_slot(fd);
        }
      }
    }
    earliest_tick_ = next_used(passed_tick_ + 1);
  }

  // Calls each(fd) for each descriptor that has a deadline; it may set and clear that one. Cost: the highest possible
  // number of descriptors.
  template <class Each>
  void for_each(Each each) {
    for (std::size_t fd = 0; fd < times_.size(); ++fd) {
      if (times_[fd].deadline != never) each(static_cast<int>(fd));
    }
  }

  // The time at which something may expire; `never` when no deadline is set. May be early, never late by more than the
  // granularity.
  std::int64_t next() const { return deadlines_ == 0 ? never : earliest_tick_ * granularity_; }

  // For the time-out of a wait, by a clock of ms: how long until next(); -1 when no deadline is set.
  int wait_ms(std::int64_t now_ms) const {
    if (deadlines_ == 0) return -1;
    constexpr std::int64_t longest = std::numeric_limits<int>::max();
    return static_cast<int>(std::clamp<std::int64_t>(next() - now_ms, 0, longest));
  }

 private:
  // A tick is a number of granularities since the clock's zero; slot (tick mod slots) holds what is looked at then.
  // At 50 ms a lap takes 51 s; a deadline further away is looked at once a lap.
  static constexpr std::int64_t slots = 1024;

  // The lists are rings of indexes, each with a head of its own: first the slots' heads, then that of what has just
  // passed, then the descriptors.
  static constexpr std::uint32_t passed_list = slots;
  static constexpr std::uint32_t first_descriptor = slots + 1;

  struct Links {
    std::uint32_t next;
    std::uint32_t previous;
  };
  struct Times {
    std::int64_t deadline = never;
    std::int64_t slot_time = never;  // when its slot has passed; `never` when it is in none
  };

  static std::uint32_t slot_of(std::int64_t tick) { return static_cast<std::uint32_t>(tick % slots); }

  Times& times_of(int fd) {
    BAKEOFF_CHECK(static_cast<unsigned>(fd) < times_.size());
    return times_[static_cast<std::size_t>(fd)];
  }

  void put_into_slot(int fd) {
    Times& times = times_of(fd);
    const std::uint32_t node = first_descriptor + static_cast<std::uint32_t>(fd);
    if (times.slot_time != never) unlink(node);
    const std::int64_t deadline = times.deadline;
    const std::int64_t rounded_up = deadline / granularity_ + (deadline % granularity_ > 0 ? 1 : 0);
    const std::int64_t tick = std::max(rounded_up, passed_tick_ + 1);
    times.slot_time = tick * granularity_;
    earliest_tick_ = std::min(earliest_tick_, tick);

    const std::uint32_t head = slot_of(tick);
    const std::uint32_t last = links_[head].previous;
    links_[node] = {head, last};
    links_[last].next = node;
    links_[head].previous = node;
    used_[head / 64] |= std::uint64_t{1} << (head % 64);
  }

  void unlink(std::uint32_t node) {
    const auto [next, previous] = links_[node];
    links_[previous].next = next;
    links_[next].previous = previous;
    if (next == previous && next < passed_list) mark_empty(next);
  }

  void move_to_passed(std::uint32_t head) {
    const auto [first, last] = links_[head];
    links_[passed_list] = {first, last};
    links_[first].previous = passed_list;
    links_[last].next = passed_list;
    links_[head] = {head, head};
    mark_empty(head);
  }

  void mark_empty(std::uint32_t head) { used_[head / 64] &= ~(std::uint64_t{1} << (head % 64)); }

  // The first tick from `from` on whose slot holds anything; `never` when all are empty.
  std::int64_t next_used(std::int64_t from) const {
    const std::uint32_t start = slot_of(from);
    for (std::uint32_t i = 0; i <= used_.size();
         ++i) {  // the first word twice: its upper bits, and last its lower ones
      const std::uint32_t word = (start / 64 + i) % static_cast<std::uint32_t>(used_.size());
      std::uint64_t bits = used_[word];
      if (i == 0) bits &= ~std::uint64_t{0} << (start % 64);
      if (bits == 0) continue;
      const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
      return from + (slot - start + slots) % slots;
    }
    return never;
  }

  std::int64_t granularity_;
  std::int64_t passed_tick_ = -1;       // every slot up to this tick has been looked at
  std::int64_t earliest_tick_ = never;  // no descriptor is in the slot of an earlier tick
  std::size_t deadlines_ = 0;           // how many are set
  std::vector<Times> times_;            // by descriptor
  std::vector<Links> links_;
  std::array<std::uint64_t, slots / 64> used_{};  // which slots hold anything
};

}  // namespace bakeoff
