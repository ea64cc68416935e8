// The same numbers in R's hands and in ours: beside_r.R made beside_r.json.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/data_dir.h"
#include "results/statistics.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

// At least so many cases of that name, or the file is not what it should be.
nlohmann::json beside_r(const char* name, std::size_t least) {
  std::ifstream in(data_dir() / "tests" / "results" / "beside_r.json");
  const nlohmann::json cases = nlohmann::json::parse(in).at(name);
  REQUIRE(cases.size() >= least);
  return cases;
}

std::vector<double> numbers(const nlohmann::json& one, const char* name) {
  return one.at(name).get<std::vector<double>>();
}

void check_location(const Location& location, const nlohmann::json& expected) {
  CHECK(location.estimate == Approx(expected.at("estimate").get<double>()).margin(1e-12));
  REQUIRE(location.lower);
  REQUIRE(location.upper);
  CHECK(*location.lower == Approx(expected.at("lower").get<double>()).margin(1e-12));
  CHECK(*location.upper == Approx(expected.at("upper").get<double>()).margin(1e-12));
}

}  // namespace

TEST_CASE("R has the same pseudomedians and limits") {
  for (const nlohmann::json& one : beside_r("locations", 14)) {
    CAPTURE(one.dump());
    const double tail = one.at("tail");
    check_location(location_of(numbers(one, "values"), tail, tail), one);
  }
}

TEST_CASE("R has the same figures and intervals") {
  for (const nlohmann::json& one : beside_r("figures", 27)) {
    CAPTURE(one.dump());
    const Figure figure = figure_of(numbers(one, "values"), Scatter::factors);
    REQUIRE(figure.lower);
    CHECK(*figure.median == Approx(one.at("median").get<double>()).epsilon(1e-12));
    CHECK(*figure.lower == Approx(one.at("lower").get<double>()).epsilon(1e-12));
    CHECK(*figure.upper == Approx(one.at("upper").get<double>()).epsilon(1e-12));
  }
}

TEST_CASE("R's signed-rank test has the same exact p-values, for more than 64 pairs, too") {
  for (const nlohmann::json& one : beside_r("pairs", 33)) {
    CAPTURE(one.dump());
    CHECK(p_so_low(numbers(one, "differences")) == Approx(one.at("so_low").get<double>()).epsilon(1e-9));
    CHECK(p_so_far(numbers(one, "differences")) == Approx(one.at("so_far").get<double>()).epsilon(1e-9));
  }
}

TEST_CASE("with ties and zeros the test is what all assignments of signs come to") {
  for (const nlohmann::json& one : beside_r("ties", 8)) {
    CAPTURE(one.dump());
    CHECK(p_so_low(numbers(one, "differences")) == Approx(one.at("so_low").get<double>()).epsilon(1e-12));
  }
}

TEST_CASE("beyond 200 pairs R's normal approximation is ours") {
  for (const nlohmann::json& one : beside_r("many", 2)) {
    CAPTURE(one.dump());
    CHECK(p_so_low(numbers(one, "differences")) == Approx(one.at("so_low").get<double>()).epsilon(1e-9));
  }
}

TEST_CASE("R has the same shifts between two samples") {
  for (const nlohmann::json& one : beside_r("shifts", 18)) {
    CAPTURE(one.dump());
    const double tail = one.at("tail");
    check_location(shift_between(numbers(one, "from"), numbers(one, "to"), tail, tail), one);
  }
}

TEST_CASE("R's p.adjust rejects what Holm's correction rejects here") {
  std::size_t rejected = 0;
  for (const nlohmann::json& one : beside_r("corrections", 8)) {
    CAPTURE(one.dump());
    const std::vector<double> adjusted = numbers(one, "adjusted");
    for (const double alpha : {0.01, 0.05, 0.2}) {
      const std::vector<bool> rejects = holm_rejects(numbers(one, "p_values"), alpha);
      REQUIRE(rejects.size() == adjusted.size());
      for (std::size_t i = 0; i < adjusted.size(); ++i) {
        CHECK(rejects[i] == (adjusted[i] <= alpha));
        rejected += rejects[i] ? 1 : 0;
      }
    }
  }
  CHECK(rejected > 5);
}
