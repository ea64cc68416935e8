// Where one context of execution records: a ring of the newest events, in memory that others read. No lock, no system
// call.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/trace/event.h"

namespace bakeoff {

// What a reader finds in a ring.
struct TraceLane {
  std::string name;
  LaneKind kind = LaneKind::worker;
  pid_t process = 0;
  pid_t thread = 0;
  std::uint64_t lost = 0;          // events that newer ones took the place of
  std::vector<TraceEvent> events;  // in the order of their ends
};

// The memory of a ring; its events follow it. One writer, any number of readers.
//
// Why a reader never takes a torn event for a whole one: the writer stores an event's words and then `written`
// (release). A reader loads `written` (acquire), copies, and loads `written` again: an event that may have been
// overwritten meanwhile is among those that are too old by then, and is dropped. The fences order the copies against
// the second load, and the words of event n against the store of `written` = n.
//
// Two words hold the event that is not over yet. The writer sets the first to 0 before it changes the second. The
// reader reads the first, the second, and the first again. If the first has not changed, both words are of one event.
// The fences keep the writer's 0 before its second word, and the reader's last look after its second word. (If two
// events begin in the same ns, the reader may get a word of each.)
//
// `Atomic` is std::atomic, but in the test that explores interleavings.
template <template <class> class Atomic>
class TraceRingOf {
 public:
  static constexpr std::size_t longest_name = 47;

  static constexpr std::size_t bytes_for(std::size_t events) {
    constexpr std::size_t page = 4096;
    return (sizeof(TraceRingOf) + events * sizeof(TraceEvent) + page - 1) / page * page;
  }

  // --- its writer ---

  // Before the first event. REQUIRES: the memory is zeroed and has bytes_for(events).
  void begin(std::string_view name, LaneKind kind, std::uint64_t events, pid_t process, pid_t thread) {
    name.substr(0, longest_name).copy(name_.data(), longest_name);
    kind_ = kind;
    capacity_ = events;
    process_ = process;
    thread_ = thread;
    begun_.store(1, std::memory_order_release);
  }

  void add(const TraceEvent& event) {
    const std::uint64_t written = written_.load(std::memory_order_relaxed);
    const auto words = std::bit_cast<Words>(event);
    Atomic<std::uint64_t>* const place = slot(written % capacity_);
    std::atomic_thread_fence(std::memory_order_release);
    for (std::size_t i = 0; i < words.size(); ++i) place[i].store(words[i], std::memory_order_relaxed);
    written_.store(written + 1, std::memory_order_release);
  }

  // What goes on and may never end: readers find it as an event that ends when they look.
  void set_open(const TraceEvent& event) {
    const auto words = std::bit_cast<Words>(event);
    clear_open();
    std::atomic_thread_fence(std::memory_order_release);
    open_[1].store(words[4], std::memory_order_relaxed);
    open_[0].store(words[0], std::memory_order_release);
  }
  void clear_open() { open_[0].store(0, std::memory_order_relaxed); }

  // --- its readers ---

  bool has_begun() const { return begun_.load(std::memory_order_acquire) == 1; }

  // REQUIRES: has_begun(). `bytes`: of the memory that may be read from here. now_ns: what is open ends then.
  TraceLane read(std::size_t bytes, std::int64_t now_ns) const {
    TraceLane lane;
    lane.name.assign(name_.data(), std::find(name_.begin(), name_.end(), '\0'));
    lane.kind = kind_;
    lane.process = process_;
    lane.thread = thread_;
    // The writer is another process: its memory is believed no further than it can be checked.
    const std::uint64_t room = (bytes - sizeof(TraceRingOf)) / sizeof(TraceEvent);
    const std::uint64_t capacity = std::min(capacity_, room);
    if (capacity == 0) return lane;
    const std::uint64_t end = written_.load(std::memory_order_acquire);
    const std::uint64_t first = end - std::min(end, capacity);
    lane.events.reserve(end - first);
    for (std::uint64_t n = first; n < end; ++n) {
      Words words;
      const Atomic<std::uint64_t>* const place = slot(n % capacity);
      for (std::size_t i = 0; i < words.size(); ++i) words[i] = place[i].load(std::memory_order_relaxed);
      lane.events.push_back(std::bit_cast<TraceEvent>(words));
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    const std::uint64_t now = written_.load(std::memory_order_relaxed);
    // The event after the newest may be under way, in the place of the one that is `capacity` older.
    const std::uint64_t oldest_whole = now < capacity ? 0 : now - capacity + 1;
    const std::uint64_t torn = std::min(std::max(oldest_whole, first) - first, end - first);
    // With nobody writing, as after its death, nothing is torn; that is not known from here, and costs one event.
    lane.events.erase(lane.events.begin(), lane.events.begin() + static_cast<std::ptrdiff_t>(torn));
    lane.lost = first + torn;
    Words words{};
    words[0] = open_[0].load(std::memory_order_acquire);
    words[4] = open_[1].load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (words[0] != 0 && open_[0].load(std::memory_order_relaxed) == words[0]) {
      auto open = std::bit_cast<TraceEvent>(words);
      open.end_ns = std::max(now_ns, open.begin_ns);
      if (lane.events.empty() || lane.events.back().end_ns <= open.begin_ns) lane.events.push_back(open);
    }
    return lane;
  }

 private:
  using Words = std::array<std::uint64_t, sizeof(TraceEvent) / sizeof(std::uint64_t)>;

  Atomic<std::uint64_t>* slot(std::uint64_t index) {
    return reinterpret_cast<Atomic<std::uint64_t>*>(this + 1) + index * Words{}.size();
  }
  const Atomic<std::uint64_t>* slot(std::uint64_t index) const {
    return reinterpret_cast<const Atomic<std::uint64_t>*>(this + 1) + index * Words{}.size();
  }

  // Written before begun_ and never again.
  std::array<char, longest_name + 1> name_;
  LaneKind kind_;
  pid_t process_;
  pid_t thread_;
  std::uint64_t capacity_;
  Atomic<std::uint32_t> begun_;
  alignas(64) Atomic<std::uint64_t> written_;
  std::array<Atomic<std::uint64_t>, 2> open_;  // first and last word of an event
};
using TraceRing = TraceRingOf<std::atomic>;

}  // namespace bakeoff
