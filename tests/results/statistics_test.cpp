#include "results/statistics.h"

#include <cmath>

#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("the median is the middle value, or the mean of the two") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK(median({7}) == 7);
}

TEST_CASE("no interval without a second trial") {
  CHECK(figure_of({}) == Figure{});
  const Figure one = figure_of({5});
  CHECK(one.median == 5);
  CHECK_FALSE(one.lower);
  CHECK_FALSE(one.upper);
  CHECK(one.n == 1);
}

TEST_CASE("the interval is Student's of the logarithms") {
  // Logarithms 1, 2, 3, 4, 5: mean 3, standard deviation sqrt(2.5); t(0.975, 4) = 2.776445 from a printed table.
  const Figure figure = figure_of({std::exp(1.0), std::exp(2.0), std::exp(3.0), std::exp(4.0), std::exp(5.0)});
  const double half = 2.776445 * std::sqrt(2.5 / 5);
  CHECK(*figure.median == Approx(std::exp(3.0)));
  CHECK(*figure.lower == Approx(std::exp(3 - half)).epsilon(1e-5));
  CHECK(*figure.upper == Approx(std::exp(3 + half)).epsilon(1e-5));
  CHECK(figure.n == 5);
}

TEST_CASE("counts that may be 0 get the plain interval, never below 0") {
  // 0, 1, 2: mean 1, standard deviation 1; t(0.975, 2) = 4.302653.
  const Figure figure = figure_of({0, 1, 2});
  CHECK(*figure.lower == 0);
  CHECK(*figure.upper == Approx(1 + 4.302653 / std::sqrt(3.0)).epsilon(1e-5));
  const Figure none = figure_of({0, 0, 0});
  CHECK(none.median == 0);
  CHECK(none.lower == 0);
  CHECK(none.upper == 0);
}

TEST_CASE("the interval holds the median, however skewed the sample") {
  const Figure figure = figure_of({100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 1});
  CHECK(*figure.lower <= *figure.median);
  CHECK(*figure.upper >= *figure.median);
}

TEST_CASE("intervals that overlap leave the order open") {
  CHECK(cannot_tell_apart({10.0, 9.0, 11.0, 5}, {12.0, 11.0, 13.0, 5}));
  CHECK_FALSE(cannot_tell_apart({10.0, 9.0, 10.9, 5}, {12.0, 11.0, 13.0, 5}));
  CHECK(cannot_tell_apart({10.0, std::nullopt, std::nullopt, 1}, {12.0, 11.0, 13.0, 5}));
}
