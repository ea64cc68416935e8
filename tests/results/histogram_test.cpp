#include "results/histogram.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/random.h"
#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("buckets tile the numbers without gaps and keep a value to within a thousandth") {
  for (std::size_t index = 0; index < 40'000; ++index) {
    REQUIRE(Histogram::bucket_of(Histogram::bucket_low(index)) == index);
    REQUIRE(Histogram::bucket_of(Histogram::bucket_high(index)) == index);
    REQUIRE(Histogram::bucket_low(index + 1) == Histogram::bucket_high(index) + 1);
  }
  for (const std::uint64_t value : {1023ull, 1024ull, 1025ull, 999'999'999ull, 15'000'000'000ull, 1ull << 62}) {
    const std::size_t index = Histogram::bucket_of(value);
    const double width = static_cast<double>(Histogram::bucket_high(index) - Histogram::bucket_low(index));
    REQUIRE(width / static_cast<double>(value) < 0.001);
  }
}

TEST_CASE("percentiles agree with sorting") {
  Random random(7);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const auto value = static_cast<std::uint64_t>(50'000.0 / random.positive_unit());
    values.push_back(value);
    histogram.record(static_cast<std::int64_t>(value));
  }
  std::sort(values.begin(), values.end());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto exact = static_cast<double>(values[static_cast<std::size_t>(share * 20'000) - 1]);
    REQUIRE(static_cast<double>(histogram.percentile_ns(share)) == Approx(exact).epsilon(0.001));
  }
  REQUIRE(histogram.percentile_ns(1) == values.back());
  REQUIRE(histogram.max_ns() == values.back());
}

TEST_CASE("an empty histogram answers 0, a single value answers itself") {
  Histogram histogram;
  REQUIRE(histogram.percentile_ns(0.5) == 0);
  REQUIRE(histogram.mean_ns() == 0);
  histogram.record(123'456'789);
  REQUIRE(histogram.percentile_ns(0) == 123'456'789);
  REQUIRE(histogram.percentile_ns(1) == 123'456'789);
  histogram.record(-5);
  REQUIRE(histogram.percentile_ns(0.5) == 0);
}

TEST_CASE("merging parts equals recording the whole, also through JSON") {
  Random random(3);
  Histogram whole, first, second;
  for (int i = 0; i < 5'000; ++i) {
    const auto value = static_cast<std::int64_t>(random.below(1u << 30));
    whole.record(value);
    (i % 3 == 0 ? first : second).record(value);
  }
  first.merge(Histogram::from_json(nlohmann::ordered_json::parse(second.to_json().dump())));
  REQUIRE(first.to_json() == whole.to_json());
  REQUIRE(first.percentile_ns(0.99) == whole.percentile_ns(0.99));
  REQUIRE(first.mean_ns() == whole.mean_ns());
}

TEST_CASE("JSON with other buckets or indexes out of range is refused") {
  auto json = Histogram().to_json();
  json["sub_bucket_bits"] = 7;
  REQUIRE_THROWS(Histogram::from_json(json));
  json = Histogram().to_json();
  json["buckets"].push_back({1u << 30, 1});
  REQUIRE_THROWS(Histogram::from_json(json));
}
