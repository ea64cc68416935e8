#include "results/statistics.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/random.h"
#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("the median is the middle value, or the mean of the two") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK(median({7}) == 7);
}

TEST_CASE("no interval below five trials") {
  CHECK(figure_of({}, Scatter::factors) == Figure{});
  for (std::uint32_t n = 1; n <= 8; ++n) {
    std::vector<double> values;
    for (std::uint32_t i = 0; i < n; ++i) values.push_back(5 + i);
    const Figure figure = figure_of(values, Scatter::amounts);
    CAPTURE(n);
    CHECK(figure.n == n);
    CHECK(*figure.median == Approx(5 + (n - 1) / 2.0));
    CHECK(figure.lower.has_value() == (n >= 5));
    CHECK(figure.upper.has_value() == (n >= 5));
  }
}

TEST_CASE("the estimate is the median of the means of all pairs, of logarithms where a figure scatters by factors") {
  // Of 1, 2 and 9: the means of pairs are 1, 1.5, 2, 5, 5.5 and 9.
  CHECK(*figure_of({9, 1, 2}, Scatter::amounts).median == Approx(3.5));
  // Of 1, 4 and 16 the geometric ones are 1, 2, 4, 4, 8 and 16.
  CHECK(*figure_of({16, 1, 4}, Scatter::factors).median == Approx(4));
  // One value without a logarithm: amounts for all.
  CHECK(*figure_of({0, 1, 8}, Scatter::factors).median == *figure_of({0, 1, 8}, Scatter::amounts).median);
  CHECK(location_of({1, 2, 9}, 0.025, 0.025).estimate == Approx(3.5));
}

TEST_CASE("five values have an interval of a tail of 1/32, which reaches over all of them") {
  const Figure figure = figure_of({3, 1, 2, 5, 4}, Scatter::amounts);
  CHECK(figure.lower == 1);
  CHECK(figure.upper == 5);
  // A tail of its own on either side: of two that differ, five values have the greater one alone.
  const Location location = location_of({3, 1, 2, 5, 4}, 1.0 / 33, 1.0 / 32);
  CHECK_FALSE(location.lower);
  CHECK(location.upper == 5.0);
}

TEST_CASE("no interval leaves the range of the values, and no share exceeds 1 or falls below 0") {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<double> values;
    const std::size_t n = 5 + random.below(20);
    // Close to the bounds, where an interval by the mean and its error would leave them.
    for (std::size_t i = 0; i < n; ++i)
      values.push_back(random.below(4) == 0 ? random.unit() : 0.999 + 0.001 * random.unit());
    for (const Scatter scatter : {Scatter::amounts, Scatter::factors}) {
      const Figure figure = figure_of(values, scatter);
      const auto [least, most] = std::minmax_element(values.begin(), values.end());
      REQUIRE(figure.lower);
      CHECK(*figure.lower >= *least);
      CHECK(*figure.upper <= *most);
      CHECK(*figure.upper <= 1);
      CHECK(*figure.lower <= *figure.median);
      CHECK(*figure.upper >= *figure.median);
    }
  }
  const Figure none = figure_of({0, 0, 0, 0, 0}, Scatter::amounts);
  CHECK(none.median == 0);
  CHECK(none.lower == 0);
  CHECK(none.upper == 0);
  CHECK(figure_of({100, 100, 100, 100, 100, 1}, Scatter::factors).upper == 100);
}

TEST_CASE("one trial in ten that a neighbour slowed leaves the interval where the others are") {
  std::vector<double> values;
  for (int i = 0; i < 19; ++i) values.push_back(100 + i % 5);
  values.push_back(10);
  const Figure figure = figure_of(values, Scatter::factors);
  CHECK(*figure.lower > 99);
  CHECK(*figure.upper < 105);
}

TEST_CASE("the interval covers the truth as often as it says") {
  // Without a neighbour, and with one that slows one trial in ten by up to a third.
  for (const double bursts : {0.0, 0.1}) {
    Random random(11);
    int covered = 0;
    constexpr int rounds = 2000;
    for (int round = 0; round < rounds; ++round) {
      std::vector<double> values;
      for (int i = 0; i < 12; ++i) {
        double logarithm = 0;
        for (int k = 0; k < 12; ++k) logarithm += 0.05 * (random.unit() - 0.5);
        if (random.unit() < bursts) logarithm -= 0.4 * random.unit();
        values.push_back(std::exp(logarithm));
      }
      const Figure figure = figure_of(values, Scatter::factors);
      covered += *figure.lower <= 1 && *figure.upper >= 1 ? 1 : 0;
    }
    CAPTURE(bursts, covered);
    CHECK(covered >= 0.925 * rounds);
    CHECK(covered <= 0.975 * rounds);
  }
}

TEST_CASE("the signed-rank test counts exactly") {
  // All five lower: one of 32 assignments of signs is as low.
  CHECK(p_so_low({-1, -2, -3, -4, -5}) == Approx(1.0 / 32));
  CHECK(p_so_low({-1, -2, -3, -4, -5, -6}) == Approx(1.0 / 64));
  CHECK(p_so_low({1, 2, 3, 4, 5, 6}) == 1);
  // Ranks 3, 2 and 1, of which the last is positive: of the eight sums 0 and 1 are no greater.
  CHECK(p_so_low({-3, -2, 1}) == Approx(2.0 / 8));
  CHECK(p_so_low({-1}) == Approx(0.5));
  CHECK(p_so_low({0, 0, 0}) == 1);
  CHECK(p_so_low({}) == 1);
  CHECK(p_so_far({-1, -2, -3, -4, -5}) == Approx(2.0 / 32));
  CHECK(p_so_far({5, 4, 3, 2, 1}) == Approx(2.0 / 32));
  CHECK(p_so_far({-3, 3}) == 1);
}

TEST_CASE("pairs beyond the 64th have a sign of their own") {
  std::vector<double> differences;
  for (int i = 0; i < 100; ++i) differences.push_back((i < 64 ? -1 : 1) * (1 + 0.001 * i));
  // Ranks 65 to 100 are positive: their sum is 2970, its mean 2525 and its deviation 290.8. If pairs i and i + 64 had
  // the same sign, the deviation would be 337.6 and the chance 0.907.
  CHECK(p_so_low(differences) == Approx(0.937).margin(0.002));
  CHECK(p_so_low(std::vector<double>(100, -1.0)) == Approx(std::pow(0.5, 100)));
}

TEST_CASE("halves that balance leave the test open, however many there are") {
  for (const std::size_t count : {30u, 200u, 201u, 1000u}) {
    std::vector<double> halves;
    for (std::size_t i = 0; i < count; ++i)
      halves.push_back(((i + 1) / 2 % 2 == 0 ? 1 : -1) * static_cast<double>(1 + i));
    CAPTURE(count);
    CHECK(p_so_low(halves) == Approx(0.5).margin(0.05));
    CHECK(p_so_low(std::vector<double>(count, -1.0)) < 1e-4);
  }
}

TEST_CASE("the shift between two samples is the median difference, with limits where there are enough values") {
  const Location shift = shift_between({1, 2, 3, 4}, {11, 12, 13, 14}, 0.025, 0.025);
  CHECK(shift.estimate == Approx(10));
  CHECK(*shift.lower == Approx(7));
  CHECK(*shift.upper == Approx(13));
  // Three and three have 20 orders: one is as rare as 5 %, none as rare as 2.5 %.
  const Location few = shift_between({1, 2, 3}, {11, 12, 13}, 0.025, 0.051);
  CHECK(few.estimate == Approx(10));
  CHECK_FALSE(few.lower);
  CHECK(*few.upper == Approx(12));
}

TEST_CASE("Holm's correction steps down from the least p-value") {
  using Rejected = std::vector<bool>;
  CHECK(holm_rejects({0.01, 0.04, 0.03}, 0.05) == Rejected{true, false, false});
  CHECK(holm_rejects({0.04, 0.01, 0.02}, 0.05) == Rejected{true, true, true});
  // The one in the middle is not rejected, and stops those after it.
  CHECK(holm_rejects({0.001, 0.03, 0.031}, 0.05) == Rejected{true, false, false});
  CHECK(holm_rejects({}, 0.05).empty());
}

TEST_CASE("a series settles where what is left is steadiest") {
  CHECK(settled_after({5, 9, 10, 10, 10, 10, 10, 10}) == 2);
  CHECK(settled_after({10, 10, 10, 10, 10, 10}) == 0);
  CHECK(settled_after({1, 2, 3, 4, 5, 6, 7, 8}) <= 4);  // at most half is left out
  CHECK(settled_after({1, 10, 10}) == 0);               // too few to tell
  CHECK(settled_after({}) == 0);
}
