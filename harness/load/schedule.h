// When arrivals are due in an open loop: a rate that may change over time, and how the arrivals scatter around it.
// Arrivals do not depend on replies; that is what makes overload visible (Schroeder, Wierman, Harchol-Balter 2006).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/load/timers.h"
#include "workloads/random.h"

namespace bakeoff {

// Rates per second over consecutive stretches of time, each constant or changing evenly. The last one's final rate holds
// for ever after.
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

  RateProfile scaled(double factor) const;
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

// The arrivals one after another. The gaps are drawn at unit rate and stretched by the profile, so that a change of rate
// takes effect at its time, also within a gap.
class Schedule {
 public:
  // share of the first gap that passes before the first arrival: lets several workers interleave evenly spaced arrivals.
  Schedule(RateProfile profile, Arrivals arrivals, Random random, double first_share = 1);
  // Given times, rising, in seconds from begin(): every `stride`-th from `first` on, then nothing more.
  Schedule(std::shared_ptr<const std::vector<double>> times_s, std::size_t first, std::size_t stride);

  void begin(std::int64_t now_ns);                // the profile's time 0; nothing is due before
  std::int64_t next_ns() const { return next_ns_; }  // never_ns before begin(), when the rate stays 0, and behind given times
  void pop();                                     // goes on to the next arrival

 private:
  void advance(double gap);
  std::int64_t given_ns() const;

  std::shared_ptr<const std::vector<double>> times_s_;  // with them, `given_` and `stride_` alone matter
  std::size_t given_ = 0;
  std::size_t stride_ = 1;
  RateProfile profile_;
  Arrivals arrivals_ = Arrivals::fixed;
  Random random_;
  double first_share_;
  std::int64_t begin_ns_ = 0;
  std::int64_t next_ns_ = never_ns;
  std::size_t segment_ = 0;
  double in_segment_s_ = 0;      // of the next arrival, since its segment began
  double segment_start_s_ = 0;   // since begin
};

}  // namespace bakeoff
