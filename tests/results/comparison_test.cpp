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

// A machine as one meets them: it drifts, it has two speeds, a quarter apart, between which it changes now and then, and
// every trial scatters besides.
class Machine {
 public:
  explicit Machine(unsigned seed) : random_(seed) {}

  double log_rate_of_a_trial() {
    drift_ += 0.002 * normal_(random_);
    if (std::uniform_real_distribution<double>(0, 1)(random_) < 0.01) slow_ = !slow_;
    return drift_ + (slow_ ? std::log(0.75) : 0) + 0.03 * normal_(random_);
  }
  bool coin() { return std::uniform_int_distribution<int>(0, 1)(random_) == 1; }

 private:
  std::mt19937 random_;
  std::normal_distribution<double> normal_;
  double drift_ = 0;
  bool slow_ = false;
};

struct Blocks {
  std::vector<double> candidate, self;
};

// As harness/paired_trials.h measures them: one build, the other twice, the first again.
Blocks measure(Machine& machine, int count, double change) {
  Blocks blocks;
  for (int i = 0; i < count; ++i) {
    const bool candidate_first = machine.coin();
    double logs[2][2];
    for (const int trial : {0, 1, 2, 3}) {
      const bool candidate = (trial == 0 || trial == 3) == candidate_first;
      logs[candidate ? 1 : 0][trial / 2] = machine.log_rate_of_a_trial() + (candidate ? std::log(change) : 0);
    }
    blocks.candidate.push_back(std::exp((logs[1][0] + logs[1][1] - logs[0][0] - logs[0][1]) / 2));
    for (const auto& own : logs) blocks.self.push_back(std::exp(own[1] - own[0]));
  }
  return blocks;
}

// As bakeoff compare does it: an alarm is raised only when a second set of blocks confirms it.
Verdict compare(Machine& machine, int count, double change) {
  const Blocks first = measure(machine, count, change);
  const double threshold = noise_floor(first.self);
  const Verdict verdict = compare_pairs(first.candidate, threshold).verdict;
  if (verdict != Verdict::regressed) return verdict;
  return compare_pairs(measure(machine, count, change).candidate, threshold).verdict == Verdict::regressed
             ? Verdict::regressed
             : Verdict::undecided;
}

}  // namespace

TEST_CASE("equal builds raise few alarms, and a tenth lost is found") {
  int alarms = 0, fine = 0, found = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    Machine machine(seed);
    const Verdict equal = compare(machine, 8, 1);
    alarms += equal == Verdict::regressed ? 1 : 0;
    fine += equal == Verdict::fine ? 1 : 0;
    found += compare(machine, 8, 0.9) == Verdict::regressed ? 1 : 0;
  }
  CAPTURE(alarms, fine, found);
  CHECK(alarms <= 5);
  CHECK(fine >= 50);
  CHECK(found >= 90);
}

TEST_CASE("the noise floor is what equal builds differ by, and not nothing") {
  CHECK(noise_floor({1, 1, 1, 1, 1, 1}) == Approx(0.02));
  CHECK(noise_floor({0.8, 1.25, 0.8, 1.25, 0.8, 1.25}) > 0.1);
  CHECK(noise_floor({}) == Approx(0.02));
}
