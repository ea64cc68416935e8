#include "harness/run/soak.h"

#include <cmath>

#include "tests/catch.h"

using namespace bakeoff;

namespace {

// 59 looks in 60 s at 5,000 replies a second: what grows, by how much a request, on top of a sawtooth of 200 KB.
SoakRecord record_of(double bytes_per_request, double descriptors_per_s = 0) {
  SoakRecord record;
  record.replies_per_s = 5000;
  for (int i = 1; i < 60; ++i) {
    const double warm = 20e6 * (1 - std::exp(-i / 3.0));
    record.samples.push_back(
        {static_cast<double>(i), warm + i % 5 * 50e3 + bytes_per_request * 5000 * i, 40 + descriptors_per_s * i, 3});
  }
  return record;
}

}  // namespace

TEST_CASE("a leak of 100 bytes a request is found, and what fills its caches at first is not one") {
  const SoakGrowth steady = growth_of(record_of(0)), leaky = growth_of(record_of(100));
  CHECK(std::fabs(steady.memory_bytes_per_request) < 5);
  CHECK(leaky.memory_bytes_per_request == Approx(100).epsilon(0.1));
  CHECK(grows(steady, steady).empty());
  REQUIRE(grows(steady, leaky).size() == 1);
  CHECK(grows(steady, leaky).front().starts_with("memory grows by "));
  CHECK(grows(leaky, leaky).empty());  // as the baseline does
  CHECK(grows(leaky, steady).empty());
}

TEST_CASE("descriptors that grow are found") {
  const SoakGrowth steady = growth_of(record_of(0)), leaky = growth_of(record_of(0, 1));
  CHECK(leaky.descriptors == Approx(19));
  REQUIRE(grows(steady, leaky).size() == 1);
  CHECK(grows(steady, leaky).front().starts_with("descriptors grow by 19"));
}
