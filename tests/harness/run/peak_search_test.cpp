#include "harness/run/peak_search.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/base/random.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

// A server that sustains up to `capacity`, which itself scatters by `gradual` (of the logarithm, normal), asked through
// a harness that answers otherwise in `wrong` of the trials.
class Oracle {
 public:
  Oracle(double capacity, double gradual, double wrong, std::uint64_t seed)
      : capacity_(capacity), gradual_(gradual), wrong_(wrong), random_(seed, 0) {}
  bool sustains(double rate) {
    const bool yes = std::log(rate / capacity_) <= gradual_ * normal();
    return (random_.unit() < wrong_) != yes;
  }

 private:
  double normal() {
    return std::sqrt(-2 * std::log(random_.positive_unit())) * std::cos(2 * 3.14159265358979 * random_.unit());
  }
  double capacity_, gradual_, wrong_;
  Random random_;
};

PeakEstimate search(PeakSearch& search, const std::function<bool(double)>& sustains) {
  for (int asked = 0; const auto rate = search.next(); ++asked) {
    REQUIRE(asked < 1000);
    search.judge(*rate, sustains(*rate));
  }
  return search.estimate();
}

bool holds(const PeakEstimate& found, double capacity) {
  return (!found.lower || *found.lower <= capacity) && (!found.upper || *found.upper >= capacity);
}

struct Outcome {
  double coverage = 0;      // of the intervals
  double answers = 0;       // in the mean
  double median_error = 0;  // of the logarithm of the peak
};

// Searches for peaks from 50 to 400,000, evenly spread on the logarithm.
Outcome simulate(double gradual, double wrong, PeakLimits limits) {
  constexpr std::uint64_t searches = 100;
  Outcome outcome;
  std::vector<double> errors;
  Random capacities(1, 1);
  for (std::uint64_t seed = 1; seed <= searches; ++seed) {
    const double capacity = 50 * std::pow(8000, capacities.unit());
    Oracle oracle(capacity, gradual, wrong, seed);
    PeakSearch peak(limits);
    const PeakEstimate found = search(peak, [&](double rate) { return oracle.sustains(rate); });
    outcome.coverage += holds(found, capacity) ? 1.0 / searches : 0;
    outcome.answers += static_cast<double>(found.answers) / searches;
    errors.push_back(found.rate ? std::fabs(std::log(*found.rate / capacity)) : HUGE_VAL);
  }
  std::nth_element(errors.begin(), errors.begin() + searches / 2, errors.end());
  outcome.median_error = errors[searches / 2];
  return outcome;
}

}  // namespace

TEST_CASE("without wrong answers the peak is found within the tolerance, from wherever the search starts") {
  for (const double capacity : {3.0, 70.0, 999.0, 1000.0, 12'345.0, 180'000.0, 5e6}) {
    CAPTURE(capacity);
    PeakSearch peak({.start = 1000, .tolerance = 0.05});
    const PeakEstimate found = search(peak, [&](double rate) { return rate <= capacity; });
    REQUIRE(found.rate);
    CHECK(found.within_tolerance);
    CHECK(holds(found, capacity));
    CHECK(*found.rate == Approx(capacity).epsilon(0.04));
    CHECK(*found.upper / *found.lower <= 1.05);
    CHECK(found.answers <= 35);
  }
}

TEST_CASE("wrong answers are recovered from, the first ones included") {
  constexpr double capacity = 20'040;  // between two rates that can be asked for
  // Each of the first ten answers is wrong in turn: in a search that believed it, all rates on the other side
  // were lost.
  for (int wrong = 0; wrong < 10; ++wrong) {
    CAPTURE(wrong);
    PeakSearch peak({.answers = 60});
    int asked = 0;
    const PeakEstimate found = search(peak, [&](double rate) { return (rate <= capacity) != (asked++ == wrong); });
    REQUIRE(found.rate);
    CHECK(found.within_tolerance);
    CHECK(holds(found, capacity));
  }
  // Three at once.
  PeakSearch peak({.answers = 100});
  int asked = 0;
  const PeakEstimate found = search(peak, [&](double rate) { return (rate <= capacity) != (asked++ < 3); });
  CHECK(found.within_tolerance);
  CHECK(holds(found, capacity));
}

TEST_CASE("the interval holds the peak as often as it says, however the answers err") {
  struct Scenario {
    double gradual, wrong, most_answers, most_error;
  };
  // A jump; a curve by which 3 % or 10 % of the rate make the difference; 0, 10 and 25 % of wrong answers.
  for (const auto& [gradual, wrong, most_answers, most_error] :
       {Scenario{0, 0, 25, 0.02}, Scenario{0, 0.1, 36, 0.02}, Scenario{0, 0.25, 40, 0.1}, Scenario{0.03, 0, 39, 0.02},
        Scenario{0.1, 0, 40, 0.03}, Scenario{0.1, 0.1, 40, 0.05}, Scenario{0.1, 0.25, 40, 0.2}}) {
    CAPTURE(gradual, wrong);
    const Outcome outcome = simulate(gradual, wrong, {.tolerance = 0.1, .answers = 40});
    INFO("coverage " << outcome.coverage << ", answers " << outcome.answers << ", error " << outcome.median_error);
    CHECK(outcome.coverage >= 0.91);  // 95 %, less two standard errors of 100 searches
    CHECK(outcome.answers <= most_answers);
    CHECK(outcome.median_error <= most_error);
  }
}

TEST_CASE("more answers narrow the interval where some are wrong") {
  const auto width = [](std::uint32_t answers) {
    Oracle oracle(20'000, 0.03, 0.1, 7);
    PeakSearch peak({.tolerance = 0.01, .answers = answers});
    const PeakEstimate found = search(peak, [&](double rate) { return oracle.sustains(rate); });
    CHECK(found.answers == answers);
    CHECK_FALSE(found.within_tolerance);
    return std::log(*found.upper / *found.lower);
  };
  CHECK(width(160) < width(40) / 2);
}

TEST_CASE("a server that sustains nothing has no peak, and one that sustains all ends at the most") {
  PeakSearch none({.start = 8, .least = 1});
  const PeakEstimate nothing = search(none, [](double) { return false; });
  CHECK_FALSE(nothing.rate);
  CHECK_FALSE(nothing.lower);
  CHECK(nothing.upper == 1.0);
  CHECK(nothing.within_tolerance);
  PeakSearch all({.start = 100, .most = 1000});
  const PeakEstimate most = search(all, [](double rate) {
    CHECK(rate <= 1000);
    return true;
  });
  CHECK(most.rate == 1000.0);
  CHECK(most.lower == 1000.0);
  CHECK_FALSE(most.upper);
  PeakSearch one({.start = 500, .most = 500});
  CHECK(one.next() == 500.0);
}

TEST_CASE("no rate is asked for that is more than four times what was sustained") {
  PeakSearch peak({.start = 1000});
  double sustained = 250;
  search(peak, [&](double rate) {
    CHECK(rate <= std::max(1000.0, 4 * sustained) * 1.01);
    if (rate <= 150'000) sustained = std::max(sustained, rate);
    return rate <= 150'000;
  });
}

TEST_CASE("the same answers lead along the same path, and one that is missing is asked for again") {
  PeakSearch peak({.start = 1000, .answers = 3}), again({.start = 1000, .answers = 3});
  CHECK(peak.next() == 1000.0);
  peak.judge(1000, std::nullopt);
  again.judge(1000, std::nullopt);
  CHECK(peak.path() == "1000 ?");
  CHECK(peak.estimate().answers == 0);
  const auto next = peak.next();
  REQUIRE(next);
  CHECK(again.next() == next);
  peak.judge(*next, true);
  again.judge(*next, true);
  CHECK(again.next() == peak.next());
  peak.judge(*peak.next(), false);
  CHECK_FALSE(peak.next());  // three were allowed, the one that was not available included
  CHECK(peak.estimate().answers == 2);
}

TEST_CASE("rates are round") {
  CHECK(round_rate(12'345) == 12'300);
  CHECK(round_rate(1.2345) == Approx(1.23));
  CHECK(round_rate(999.7) == 1000);
}
