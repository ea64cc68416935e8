#include "harness/load/clock_offset.h"

#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("the shortest round trip tells how far a clock is ahead") {
  // The answer of the second trip waited for a processor of the other host.
  const ClockOffset offset =
      clock_offset({{1000, 6'000'900, 2800}, {5000, 6'000'000'000, 9'000'000}, {4000, 6'003'600, 4200}});
  CHECK(offset.ahead_ns == 6'003'600 - 4100);
  CHECK(offset.error_ns == 100);
  CHECK(clock_offset({{4000, 3100, 4200}}).ahead_ns == -1000);
}

TEST_CASE("a clock that drifts has not stepped, and one that steps has") {
  const std::int64_t minute_ns = 60'000'000'000;
  CHECK_FALSE(has_stepped({5'000'000'000, 20'000}, {5'000'000'000, 20'000}, minute_ns));
  CHECK_FALSE(has_stepped({0, 20'000}, {30'000'000, 20'000}, minute_ns));  // 500 ppm
  CHECK(has_stepped({0, 20'000}, {32'000'000, 20'000}, minute_ns));
  CHECK(has_stepped({0, 20'000}, {-2'000'000, 20'000}, 1'000'000'000));
  CHECK_FALSE(has_stepped({0, 2'000'000}, {2'000'000, 20'000}, 1'000'000'000));  // no better known than that
}
