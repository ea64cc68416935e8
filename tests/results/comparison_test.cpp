#include "results/comparison.h"

#include <cmath>
#include <random>

#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("the sign-flip test counts exactly") {
  // All six slower: 1 of 64 assignments is as slow.
  CHECK(sign_flip_p_slower({-1, -2, -3, -4, -5, -6}) == Approx(1.0 / 64));
  CHECK(sign_flip_p_slower({1, 2, 3, 4, 5, 6}) == 1);
  // -3 -2 +1 = -4: of the eight sums -6 and -4 are no greater.
  CHECK(sign_flip_p_slower({-3, -2, 1}) == Approx(2.0 / 8));
  CHECK(sign_flip_p_slower({0, 0, 0}) == 1);
  CHECK(sign_flip_p_slower({}) == 1);
}

TEST_CASE("many pairs are drawn instead of counted") {
  std::vector<double> halves;
  for (int i = 0; i < 30; ++i) halves.push_back(i % 2 == 0 ? 1 : -1);
  CHECK(sign_flip_p_slower(halves) == Approx(0.572).margin(0.01));  // P(Binomial(30, 1/2) <= 15)
  CHECK(sign_flip_p_slower(std::vector<double>(30, -1.0)) < 1e-4);
}

TEST_CASE("a verdict needs six pairs") {
  const Comparison five = compare_pairs({0.5, 0.51, 0.49, 0.5, 0.5}, 0.02);
  CHECK(five.verdict == Verdict::undecided);
  CHECK(five.why == "no verdict below 6 pairs");
  CHECK(compare_pairs({0.5, 0.51, 0.49, 0.5, 0.5, 0.5}, 0.02).verdict == Verdict::regressed);
  CHECK(compare_pairs({}, 0.02).verdict == Verdict::undecided);
}

TEST_CASE("the ratio is the geometric mean, and the verdict looks at what matters") {
  const Comparison fine = compare_pairs({1.0, 1.01, 0.99, 1.0, 1.02, 0.98}, 0.05);
  CHECK(fine.verdict == Verdict::fine);
  CHECK(fine.ratio == Approx(1).epsilon(0.001));
  CHECK(fine.lower < 1);
  CHECK(fine.upper > 1);
  // Surely slower, yet by less than matters.
  const Comparison slight = compare_pairs({0.985, 0.984, 0.986, 0.985, 0.983, 0.987, 0.985, 0.985}, 0.05);
  CHECK(slight.p_slower < 0.05);
  CHECK(slight.verdict == Verdict::fine);
  CHECK(compare_pairs({0.8, 1.2, 0.7, 1.3, 0.9, 1.1}, 0.05).verdict == Verdict::undecided);
}

namespace {

// Pairs as a drifting machine gives them: each block has its own speed, which both of a pair share, and each trial its own
// scatter of 4 %.
std::vector<double> pairs(std::mt19937& random, int count, double change) {
  std::normal_distribution<double> scatter(0, 0.04);
  std::vector<double> ratios;
  for (int i = 0; i < count; ++i) ratios.push_back(std::exp(std::log(change) + scatter(random) - scatter(random)));
  return ratios;
}

}  // namespace

TEST_CASE("equal builds raise few alarms, and a tenth lost is found") {
  std::mt19937 random(1);
  int alarms = 0, found = 0;
  for (int i = 0; i < 100; ++i) {
    const double threshold = noise_floor(pairs(random, 10, 1));
    const auto judge_twice = [&](double change) {  // an alarm is raised only when it is confirmed
      return compare_pairs(pairs(random, 10, change), threshold).verdict == Verdict::regressed &&
             compare_pairs(pairs(random, 10, change), threshold).verdict == Verdict::regressed;
    };
    alarms += judge_twice(1) ? 1 : 0;
    found += judge_twice(0.9) ? 1 : 0;
  }
  CHECK(alarms <= 1);
  CHECK(found >= 90);
}

TEST_CASE("the noise floor is what equal builds differ by, and not nothing") {
  CHECK(noise_floor({1, 1, 1, 1, 1, 1}) == Approx(0.02));
  CHECK(noise_floor({0.8, 1.25, 0.8, 1.25, 0.8, 1.25}) > 0.1);
  CHECK(noise_floor({}) == Approx(0.02));
}
