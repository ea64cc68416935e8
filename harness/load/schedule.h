// When arrivals are due in an open loop: a rate that may change over time, and how the arrivals scatter around it.
// Arrivals do not depend on replies; that is what makes overload visible (Schroeder, Wierman, Harchol-Balter 2006).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "harness/load/timers.h"
#include "harness/load/waiting_arrivals.h"

namespace bakeoff {

// Rates per second over consecutive stretches of time, each constant or changing evenly. The last one's final rate
// holds for ever after.
class RateProfile {
 public:
  struct Segment {
    double duration_s;
    double from_per_s;
    double to_per_s;
  };

  // "5000" constant; "1000,2000,4000" steps of equal length; "1000..8000" a ramp. The first rate also holds for the
  // warm-up before. UsageError names `option` for anything else, rates that are negative or above 1e9, or all 0.
  static RateProfile parse(const std::string& option, const std::string& text, double warmup_s, double duration_s);
  explicit RateProfile(std::vector<Segment> segments) : segments_(std::move(segments)) {}

  const std::vector<Segment>& segments() const { return segments_; }
  double area(double from_s, double to_s) const;  // arrivals to be expected between two times

 private:
  std::vector<Segment> segments_;
};

enum class Arrivals : std::uint8_t {
  fixed,    // evenly spaced
  poisson,  // exponential gaps: independent users
  uniform,  // gaps between 0 and twice the mean
};
Arrivals parse_arrivals(const std::string& text);  // UsageError
std::string_view name_of(Arrivals arrivals);

// The arrivals one after another. The gaps are drawn at unit rate and stretched by the profile, so that a change of
// rate takes effect at its time, also within a gap.
class Schedule {
 public:
  // Every `stride`-th arrival from `first` on: workers that begin with the same `random` deal out one schedule, and
  // draw all of it. waiting: of all these workers; nullptr where there is one.
  Schedule(RateProfile profile, Arrivals arrivals, Random random, std::size_t first = 0, std::size_t stride = 1,
           WaitingArrivals* waiting = nullptr);
  // Given times, rising, in seconds from begin(), dealt out likewise; then nothing more.
  Schedule(std::shared_ptr<const std::vector<double>> times_s, std::size_t first, std::size_t stride);

  void begin(std::int64_t now_ns);  // the profile's time 0; nothing is due before
  std::int64_t next_ns() const {
    return next_ns_;
  }            // never_ns before begin(), when the rate stays 0, and behind given times
  void pop();  // goes on to the next arrival
  // An arrival that is due, its own or another worker's that waits; goes on to the next.
  std::optional<std::int64_t> take(std::int64_t now_ns);
  // Lets other workers have what is due; false when nothing was.
  bool hand_over(std::int64_t now_ns);

 private:
  void go_on(std::size_t arrivals);
  void advance(double gap);
  std::int64_t given_ns() const;

  std::shared_ptr<const std::vector<double>> times_s_;  // with them, `next_` and `stride_` alone matter
  std::size_t next_;                                    // of times_s_; before begin(): the first arrival
  std::size_t stride_;
  RateProfile profile_;
  Arrivals arrivals_ = Arrivals::fixed;
  Random random_;
  WaitingArrivals* waiting_ = nullptr;
  std::int64_t begin_ns_ = 0;
  std::int64_t next_ns_ = never_ns;
  std::size_t segment_ = 0;
  double in_segment_s_ = 0;     // of the next arrival, since its segment began
  double segment_start_s_ = 0;  // since begin
};

}  // namespace bakeoff
