#include "core/base/clock.h"

#include <ctime>

namespace bakeoff {

void SystemClock::refresh() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  now_ms_ = std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  unix_s_ = now.tv_sec;
}

std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace bakeoff
