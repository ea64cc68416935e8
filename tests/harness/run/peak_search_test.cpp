#include "harness/run/peak_search.h"

#include "tests/catch.h"

using namespace bakeoff;

namespace {

// A server that sustains up to `capacity`; returns how many rates were tried.
int search(PeakSearch& search, double capacity) {
  int tries = 0;
  while (const auto rate = search.next()) {
    search.judge(*rate, *rate <= capacity);
    REQUIRE(++tries < 100);
  }
  return tries;
}

}  // namespace

TEST_CASE("the peak is bracketed and bisected, from wherever the search starts") {
  for (const double capacity : {3.0, 70.0, 999.0, 1000.0, 12'345.0, 180'000.0}) {
    CAPTURE(capacity);
    PeakSearch peak({.start = 1000, .tolerance = 0.02});
    const int tries = search(peak, capacity);
    REQUIRE(peak.peak());
    CHECK(*peak.peak() <= capacity);
    CHECK(*peak.peak() >= capacity / 1.05);
    CHECK(tries <= 24);
  }
}

TEST_CASE("a server that sustains nothing has no peak, and one that sustains all ends at the most") {
  PeakSearch none({.start = 8, .least = 1});
  search(none, 0);
  CHECK_FALSE(none.peak());
  CHECK(none.too_much() == 1.0);
  PeakSearch all({.start = 100, .most = 1000});
  search(all, 1e9);
  CHECK(all.peak() == 1000.0);
  CHECK_FALSE(all.too_much());
}

TEST_CASE("a rate above one that was not sustained is not believed") {
  PeakSearch peak({});
  peak.judge(1000, true);
  peak.judge(2000, false);
  peak.judge(4000, true);
  CHECK(peak.peak() == 1000.0);
  CHECK(peak.path() == "1000 yes, 2000 no, 4000 yes");
}

TEST_CASE("rates are round") {
  CHECK(round_rate(12'345) == 12'300);
  CHECK(round_rate(1.2345) == Approx(1.23));
  CHECK(round_rate(999.7) == 1000);
}
