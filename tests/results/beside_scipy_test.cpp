// The same numbers in SciPy's hands and in ours: beside_scipy.py made beside_scipy.json.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/data_dir.h"
#include "results/comparison.h"
#include "results/statistics.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

nlohmann::json beside_scipy() {
  std::ifstream in(data_dir() / "tests" / "results" / "beside_scipy.json");
  return nlohmann::json::parse(in);
}

}  // namespace

TEST_CASE("SciPy has the same medians and intervals") {
  const nlohmann::json figures = beside_scipy().at("figures");
  REQUIRE(figures.size() >= 80);
  for (const nlohmann::json& one : figures) {
    CAPTURE(one.dump());
    const Figure figure = figure_of(one.at("values").get<std::vector<double>>(), one.at("confidence"));
    const double middle = one.at("median");
    CHECK(*figure.median == Approx(middle).epsilon(1e-12));
    // Ours is widened, where need be, to hold the sample's median.
    CHECK(*figure.lower == Approx(std::min(middle, one.at("lower").get<double>())).epsilon(1e-7));
    CHECK(*figure.upper == Approx(std::max(middle, one.at("upper").get<double>())).epsilon(1e-7));
  }
}

TEST_CASE("SciPy's permutation test counts the same sign flips, and its bootstrap has the same interval") {
  const nlohmann::json pairs = beside_scipy().at("pairs");
  REQUIRE(pairs.size() >= 20);
  for (const nlohmann::json& one : pairs) {
    CAPTURE(one.dump());
    const auto ratios = one.at("ratios").get<std::vector<double>>();
    const Comparison comparison = compare_pairs(ratios, 0.02);
    CHECK(comparison.p_slower == Approx(one.at("p_slower").get<double>()).epsilon(1e-12));
    const double mean = one.at("mean"), lower = one.at("lower"), upper = one.at("upper");
    CHECK(std::log(comparison.ratio) == Approx(mean).margin(1e-12));
    // Ours is the percentile interval widened by sqrt(n / (n - 1)); 10,000 resamples leave some per cent of its width open.
    const double n = static_cast<double>(ratios.size()), widen = std::sqrt(n / (n - 1)), open = 0.05 * (upper - lower);
    CHECK(std::log(comparison.lower) == Approx(mean + (lower - mean) * widen).margin(open));
    CHECK(std::log(comparison.upper) == Approx(mean + (upper - mean) * widen).margin(open));
  }
}
