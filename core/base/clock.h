// Time, injected so that time-outs are tested without sleeping, and read once per turn of a loop, not per use.
#pragma once

#include <cstdint>

namespace bakeoff {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual void refresh() = 0;

  std::int64_t now_ms() const { return now_ms_; }  // monotonic, from an arbitrary start
  std::int64_t unix_s() const { return unix_s_; }  // seconds since 1970, for Date

 protected:
  std::int64_t now_ms_ = 0;
  std::int64_t unix_s_ = 0;
};

// The kernel's coarse clocks: good to a tick (1 to 10 ms), and far cheaper than a system call.
class SystemClock final : public Clock {
 public:
  SystemClock() { refresh(); }
  void refresh() override;
};

// Monotonic and exact. Tens of nanoseconds a call: for what happens once a wait, not once a request.
std::int64_t monotonic_ns();

}  // namespace bakeoff
