// How far the clock of another host is ahead of ours, from round trips: what NTP and MPI's own tools do (Cristian 1989,
// section 3). The shortest round trip tells most, because its two ways had the least to wait for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bakeoff {

struct RoundTrip {
  std::int64_t sent_ns;      // by our clock
  std::int64_t there_ns;     // by the other's, when it answered
  std::int64_t returned_ns;  // by ours
};

struct ClockOffset {
  std::int64_t ahead_ns = 0;  // the other's clock minus ours
  std::int64_t error_ns = 0;  // at most: half of the shortest round trip
};

// REQUIRES: at least one round trip.
ClockOffset clock_offset(const std::vector<RoundTrip>& trips);

// Whether the offset changed by more than clocks drift: 500 ppm, as fast as the kernel ever turns a clock towards the
// right time (adjtimex), the errors of both measurements, and 1 ms.
bool has_stepped(const ClockOffset& before, const ClockOffset& after, std::int64_t elapsed_ns);

}  // namespace bakeoff
