#include "workloads/distribution.h"

#include <algorithm>
#include <cmath>

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("distributions have their means and stay within their bounds") {
  struct Row {
    const char* name;
    Distribution distribution;
    double mean, least, most;
  };
  const double infinity = INFINITY;
  const Row rows[] = {
      {"constant", Distribution::constant(3), 3, 3, 3},
      {"uniform", Distribution::uniform(2, 6), 4, 2, 6},
      {"exponential", Distribution::exponential(0.5), 0.5, 0, infinity},
      {"pareto", Distribution::pareto(1, 3), 1.5, 1, infinity},
      {"bounded pareto", Distribution::bounded_pareto(1, 1000, 1.5), 2.9063, 1, 1000},
      {"bounded pareto of shape 1", Distribution::bounded_pareto(1, std::exp(1.0), 1), 1.58198, 1, std::exp(1.0)},
      {"weibull", Distribution::weibull(0.382, 1.46), 0.34606, 0, infinity},
      {"lognormal", Distribution::lognormal(1, 0.5), std::exp(1.125), 0, infinity},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(row.distribution.mean() == Approx(row.mean).epsilon(0.0005));
    Random random(7);
    double sum = 0, smallest = row.most, largest = row.least;
    for (int i = 0; i < 400'000; ++i) {
      const double value = row.distribution.draw(random);
      smallest = std::min(smallest, value);
      largest = std::max(largest, value);
      sum += value;
    }
    CHECK(smallest >= row.least);
    CHECK(largest <= row.most * (1 + 1e-12));
    CHECK(sum / 400'000 == Approx(row.mean).epsilon(0.02));
  }
  CHECK(std::isinf(Distribution::pareto(1, 1).mean()));
  CHECK(Distribution::pareto(1, 1.5).mean() == Approx(3.0));  // the papers' inactive off-period
}

TEST_CASE("distributions are read from TOML, and wrong ones refused") {
  const auto read = [](const std::string& text) {
    const TomlDocument document = TomlDocument::parse("x = " + text + "\n", "a.toml");
    const Distribution distribution = read_distribution(document.root(), "x");
    document.finish();
    return distribution;
  };
  CHECK(read("\"340ms\"").mean() == Approx(0.34));
  CHECK(read("7").kind() == Distribution::Kind::constant);
  CHECK(read("{ distribution = \"pareto\", least = 1, shape = 1.5 }").mean() == Approx(3));
  CHECK(read("{ distribution = \"lognormal\", mu = -1, sigma = 0 }").mean() == Approx(std::exp(-1.0)));
  CHECK_THROWS_WITH(read("{ distribution = \"gamma\" }"),
                    Catch::Matchers::StartsWith("a.toml:1:22: distribution: expected `constant`, `uniform`"));
  CHECK_THROWS_WITH(read("{ distribution = \"uniform\", least = 5, most = 5 }"),
                    "a.toml:1:51: most: expected more than `least`");
  CHECK_THROWS_WITH(read("{ distribution = \"weibull\", scale = 0, shape = 1 }"),
                    Catch::Matchers::StartsWith("a.toml:1:41: scale: expected a number from 1e-09"));
  CHECK_THROWS_WITH(read("{ distribution = \"exponential\", mean = 1, shape = 1 }"),
                    "a.toml:1:47: unknown key `shape`");
}
