#include "harness/load/schedule.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/support/clock.h"

using namespace bakeoff;
using bakeoff::test::second_ns;

namespace {

std::vector<std::int64_t> arrivals_until(Schedule& schedule, std::int64_t end_ns) {
  std::vector<std::int64_t> times;
  for (; schedule.next_ns() < end_ns; schedule.pop()) times.push_back(schedule.next_ns());
  return times;
}
}  // namespace

TEST_CASE("nothing is due before the run begins") {
  Schedule schedule(RateProfile({{1, 100, 100}}), Arrivals::fixed, Random(1));
  REQUIRE(schedule.next_ns() == never_ns);
}

TEST_CASE("fixed arrivals are evenly spaced, also beyond the profile's end") {
  Schedule schedule(RateProfile({{1, 1000, 1000}}), Arrivals::fixed, Random(1));
  schedule.begin(5 * second_ns);
  const auto times = arrivals_until(schedule, 10 * second_ns);
  REQUIRE(times.size() == Approx(5000).margin(1));
  for (std::size_t i = 1; i < times.size(); ++i) REQUIRE(std::abs(times[i] - times[i - 1] - 1'000'000) <= 1);
}

TEST_CASE("several workers deal out the schedule that one would have") {
  for (const Arrivals arrivals : {Arrivals::fixed, Arrivals::poisson, Arrivals::uniform}) {
    const RateProfile profile({{1, 1000, 1000}, {0.5, 0, 0}, {1, 100, 3000}});
    Schedule one(profile, arrivals, Random(7, 1));
    one.begin(second_ns);
    const auto expected = arrivals_until(one, 4 * second_ns);
    std::vector<std::int64_t> all;
    for (std::size_t i = 0; i < 3; ++i) {
      Schedule schedule(profile, arrivals, Random(7, 1), i, 3);
      schedule.begin(second_ns);
      const auto mine = arrivals_until(schedule, 4 * second_ns);
      CHECK(mine.front() == expected[i]);
      all.insert(all.end(), mine.begin(), mine.end());
    }
    std::sort(all.begin(), all.end());
    CHECK(all == expected);
  }
}

TEST_CASE("what one worker hands over another takes, once and with its own time") {
  WaitingArrivals waiting(2);
  Schedule first(RateProfile({{1, 1000, 1000}}), Arrivals::fixed, Random(1), 0, 2, &waiting);
  Schedule second(RateProfile({{1, 1000, 1000}}), Arrivals::fixed, Random(1), 1, 2, &waiting);
  first.begin(0);
  second.begin(0);
  constexpr std::int64_t ms = 1'000'000;
  REQUIRE(first.hand_over(5 * ms + ms / 2));  // at 1, 3 and 5 ms
  REQUIRE_FALSE(first.hand_over(5 * ms + ms / 2));
  std::vector<std::int64_t> taken;
  while (const auto due = second.take(5 * ms + ms / 2)) taken.push_back((*due + ms / 2) / ms);
  REQUIRE(taken == std::vector<std::int64_t>{1, 3, 5, 2, 4});
  REQUIRE_FALSE(first.take(5 * ms + ms / 2));
  REQUIRE(first.take(8 * ms).has_value());
}

TEST_CASE("alone, a worker hands nothing over") {
  Schedule schedule(RateProfile({{1, 1000, 1000}}), Arrivals::fixed, Random(1));
  schedule.begin(0);
  REQUIRE_FALSE(schedule.hand_over(second_ns));
  const std::int64_t own_ns = schedule.next_ns();
  REQUIRE(schedule.take(second_ns) == own_ns);
}

TEST_CASE("a ramp's arrivals follow its integral") {
  const RateProfile ramp({{10, 100, 500}});
  Schedule schedule(ramp, Arrivals::fixed, Random(1));
  schedule.begin(0);
  const auto times = arrivals_until(schedule, 10 * second_ns);
  REQUIRE(times.size() == Approx(3000).margin(1));
  for (std::size_t i = 0; i < times.size(); i += 100)
    REQUIRE(ramp.area(0, static_cast<double>(times[i]) * 1e-9) == Approx(static_cast<double>(i + 1)).epsilon(1e-6));
}

TEST_CASE("a change of rate takes effect at its time, a pause sends nothing") {
  Schedule schedule(RateProfile({{1, 1, 1}, {2, 0, 0}, {1, 1000, 1000}}), Arrivals::fixed, Random(1));
  schedule.begin(0);
  const auto times = arrivals_until(schedule, 4 * second_ns);
  REQUIRE(times.size() == Approx(1001).margin(1));
  REQUIRE(times[0] == second_ns);
  REQUIRE(times[1] == Approx(3.001 * second_ns).epsilon(1e-9));
  Schedule ends(RateProfile({{1, 10, 0}}), Arrivals::fixed, Random(1));
  ends.begin(0);
  REQUIRE(arrivals_until(ends, never_ns).size() == Approx(5).margin(1));
}

TEST_CASE("Poisson gaps have the mean and deviation of an exponential, uniform ones those of a uniform") {
  for (const auto& [kind, deviation] :
       {std::pair{Arrivals::poisson, 1.0}, std::pair{Arrivals::uniform, 1 / std::sqrt(3)}}) {
    Schedule schedule(RateProfile({{1, 1000, 1000}}), kind, Random(9));
    schedule.begin(0);
    const auto times = arrivals_until(schedule, 100 * second_ns);
    double sum = 0, squares = 0;
    for (std::size_t i = 1; i < times.size(); ++i) {
      const double gap = static_cast<double>(times[i] - times[i - 1]) * 1e-6;
      sum += gap;
      squares += gap * gap;
    }
    const double n = static_cast<double>(times.size() - 1), mean = sum / n;
    REQUIRE(mean == Approx(1).epsilon(0.02));
    REQUIRE(std::sqrt(squares / n - mean * mean) == Approx(deviation).epsilon(0.03));
  }
}

TEST_CASE("rates are read with the warm-up in front") {
  const RateProfile steps = RateProfile::parse("--rate", "10,20", 1, 4);
  REQUIRE(steps.segments().size() == 3);
  REQUIRE(steps.area(0, 5) == Approx(10 + 20 + 40));
  REQUIRE(RateProfile::parse("--rate", "10..30", 1, 2).area(0, 3) == Approx(10 + 40));
  for (const char* text : {"", "x", "-1", "5,", "1..", "..2", "1e10", "0", "nan"})
    REQUIRE_THROWS_AS(RateProfile::parse("--rate", text, 1, 1), UsageError);
}

TEST_CASE("given times come as they are, shared out in turn, and then nothing more") {
  const auto times_s = std::make_shared<const std::vector<double>>(std::vector<double>{0, 0.5, 0.5, 2});
  Schedule all(times_s, 0, 1), odd(times_s, 1, 2);
  REQUIRE(all.next_ns() == never_ns);
  all.begin(second_ns);
  odd.begin(second_ns);
  REQUIRE(arrivals_until(all, never_ns) ==
          std::vector<std::int64_t>{second_ns, second_ns * 3 / 2, second_ns * 3 / 2, 3 * second_ns});
  REQUIRE(arrivals_until(odd, never_ns) == std::vector<std::int64_t>{second_ns * 3 / 2, 3 * second_ns});
  REQUIRE(all.next_ns() == never_ns);
}
