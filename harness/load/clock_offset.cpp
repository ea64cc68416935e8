#include "harness/load/clock_offset.h"

#include <algorithm>
#include <cstdlib>

#include "core/base/check.h"

namespace bakeoff {

ClockOffset clock_offset(const std::vector<RoundTrip>& trips) {
  BAKEOFF_CHECK(!trips.empty());
  const auto length_ns = [](const RoundTrip& trip) { return trip.returned_ns - trip.sent_ns; };
  const RoundTrip& best = *std::min_element(
      trips.begin(), trips.end(), [&](const RoundTrip& a, const RoundTrip& b) { return length_ns(a) < length_ns(b); });
  const std::int64_t half_ns = length_ns(best) / 2;
  return {best.there_ns - (best.sent_ns + half_ns), half_ns};
}

bool has_stepped(const ClockOffset& before, const ClockOffset& after, std::int64_t elapsed_ns) {
  constexpr std::int64_t parts_of_drift = 2000;  // 500 ppm
  constexpr std::int64_t tolerated_ns = 1'000'000;
  const std::int64_t allowed_ns = before.error_ns + after.error_ns + elapsed_ns / parts_of_drift + tolerated_ns;
  return std::abs(after.ahead_ns - before.ahead_ns) > allowed_ns;
}

}  // namespace bakeoff
