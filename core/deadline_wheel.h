// Deadlines of descriptors: set, moved and cleared in O(1) whatever their number, as every request moves one.
// A hashed timing wheel: coarse on purpose, because a time-out of seconds needs no finer grain.
#pragma once

#include <cstdint>
#include <vector>

namespace bakeoff {

class DeadlineWheel {
 public:
  // REQUIRES: 0 <= fd < descriptors for every later call. granularity_ms: how late a deadline may be found.
  explicit DeadlineWheel(int descriptors, std::int64_t granularity_ms = 50);

  // Sets or moves the deadline of fd, in ms of the caller's clock.
  void set(int fd, std::int64_t deadline_ms);
  void clear(int fd);

  // Calls expired(fd) for each descriptor whose deadline is at or before now_ms, after clearing it.
  // `expired` may call set() and clear().
  template <class Expired>
  void expire(std::int64_t now_ms, Expired expired);

  // For the time-out of a wait: ms until something may expire; -1 when no deadline is set. May be early, never late
  // by more than the granularity.
  int wait_ms(std::int64_t now_ms) const;
};

}  // namespace bakeoff
