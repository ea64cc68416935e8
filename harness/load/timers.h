// The two kinds of timers of a load client. Time-outs: one per request, nearly all cancelled, so setting one must be
// cheap. Wake-ups: few, and exact. Times are in ns of the caller's clock; nothing here reads one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace bakeoff {

constexpr std::int64_t never_ns = std::numeric_limits<std::int64_t>::max();

// One deadline for each of a fixed number of ids, in a hashed wheel. Moving a deadline further away, which is what
// every request does, only stores the new time: the wheel finds out when it comes by, and moves the entry then.
class TimeoutWheel {
 public:
  // granularity_ns: how late a deadline may be found.
  TimeoutWheel(std::uint32_t ids, std::int64_t granularity_ns)
      : granularity_ns_(granularity_ns), entries_(ids), heads_(slot_count, none) {}

  void set(std::uint32_t id, std::int64_t deadline_ns) {
    Entry& entry = entries_[id];
    entry.deadline_ns = deadline_ns;
    const std::int64_t tick = tick_of(deadline_ns);
    if (entry.tick <= tick && entry.tick != unlinked) return;
    if (entry.tick != unlinked) unlink(id);
    link(id, tick);
  }
  void clear(std::uint32_t id) { entries_[id].deadline_ns = never_ns; }

  // Calls expired(id) for each id whose deadline is at or before now_ns, after clearing it.
  // `expired` may call set() and clear().
  template <class Expired>
  void expire(std::int64_t now_ns, Expired expired) {
    const std::int64_t until = now_ns / granularity_ns_;
    if (until - current_tick_ > slot_count) current_tick_ = until - slot_count;
    while (current_tick_ <= until) {
      std::uint32_t id = heads_[slot_of(current_tick_)];
      heads_[slot_of(current_tick_)] = none;
      ++current_tick_;
      // The chain is cut off first: what `expired` adds lands in later slots.
      while (id != none) {
        Entry& entry = entries_[id];
        const std::uint32_t next = entry.next;
        entry.tick = unlinked;
        if (entry.deadline_ns <= now_ns) {
          entry.deadline_ns = never_ns;
          due_.push_back(id);
        } else if (entry.deadline_ns != never_ns) {
          link(id, tick_of(entry.deadline_ns));
        }
        id = next;
      }
      for (std::size_t i = 0; i < due_.size(); ++i) expired(due_[i]);
      due_.clear();
    }
  }

  // When expire() should be called next, at the latest.
  std::int64_t next_tick_ns() const { return (current_tick_ + 1) * granularity_ns_; }

 private:
  static constexpr std::int64_t slot_count = 1024;
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::int64_t unlinked = -1;
  struct Entry {
    std::int64_t deadline_ns = never_ns;
    std::int64_t tick = unlinked;  // the one it is linked at: at or before its deadline's
    std::uint32_t next = none;
    std::uint32_t previous = none;
  };

  // Rounded up, so that an entry is due when its slot comes by; no further than one turn of the wheel.
  std::int64_t tick_of(std::int64_t deadline_ns) const {
    if (deadline_ns == never_ns) return current_tick_ + slot_count - 1;
    return std::clamp((deadline_ns + granularity_ns_ - 1) / granularity_ns_, current_tick_,
                      current_tick_ + slot_count - 1);
  }
  static std::size_t slot_of(std::int64_t tick) { return static_cast<std::size_t>(tick & (slot_count - 1)); }
  void link(std::uint32_t id, std::int64_t tick) {
    Entry& entry = entries_[id];
    std::uint32_t& head = heads_[slot_of(tick)];
    entry.tick = tick;
    entry.previous = none;
    entry.next = head;
    if (head != none) entries_[head].previous = id;
    head = id;
  }
  void unlink(std::uint32_t id) {
    Entry& entry = entries_[id];
    (entry.previous == none ? heads_[slot_of(entry.tick)] : entries_[entry.previous].next) = entry.next;
    if (entry.next != none) entries_[entry.next].previous = entry.previous;
    entry.tick = unlinked;
  }

  std::int64_t granularity_ns_;
  std::int64_t current_tick_ = 0;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> heads_;
  std::vector<std::uint32_t> due_;
};

// Exact wake-ups in order of time; none is ever cancelled, so a token may come back after its reason has gone.
class WakeQueue {
 public:
  void push(std::int64_t at_ns, std::uint64_t token) {
    heap_.push_back({at_ns, token});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  std::int64_t next_ns() const { return heap_.empty() ? never_ns : heap_.front().at_ns; }
  bool empty() const { return heap_.empty(); }
  // REQUIRES: not empty.
  std::uint64_t pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const std::uint64_t token = heap_.back().token;
    heap_.pop_back();
    return token;
  }

 private:
  struct Wake {
    std::int64_t at_ns;
    std::uint64_t token;
  };
  static bool later(const Wake& a, const Wake& b) { return a.at_ns > b.at_ns; }
  std::vector<Wake> heap_;
};

}  // namespace bakeoff
