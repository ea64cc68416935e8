#include "results/stored_comparison.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/results/samples.h"
#include "core/base/random.h"

using namespace bakeoff;

namespace {

const MetricName& by(const char* path) {
  const MetricName* metric = find_metric(path);
  REQUIRE(metric != nullptr);
  return *metric;
}

ExperimentResult run_of(double speed, std::uint32_t trials, std::uint64_t seed) {
  Random random(seed);
  const std::vector<Cell> cells = {sample_cell("sped", 64, 1), sample_cell("mt", 64, 64)};
  std::vector<Trial> all;
  for (std::uint32_t block = 0; block < trials; ++block) {
    for (const Cell& cell : cells)
      all.push_back(sample_trial(cell, Phase::final, block, 1000 * speed * (1 + 0.04 * (random.unit() - 0.5))));
  }
  return sample_result(cells, all);
}

}  // namespace

TEST_CASE("stored results are told apart, by what is better for more or for less") {
  const ExperimentResult baseline = run_of(1, 5, 1);
  const StoredComparison slower = compare_stored(baseline, run_of(0.9, 5, 2), by("throughput_mbps"), 0.05);
  CHECK(slower.all.verdict == Verdict::regressed);
  CHECK(slower.all.ratio == Approx(0.9).epsilon(0.03));
  CHECK(slower.all.pairs == 2);
  CHECK(slower.cells.size() == 2);
  CHECK(compare_stored(baseline, run_of(1, 5, 3), by("throughput_mbps"), 0.05).all.verdict == Verdict::fine);
  ExperimentResult late = baseline;
  for (CellResult& cell : late.cells) {
    for (Trial& trial : cell.trials) *trial.figures[Metric::latency_p99_ms] *= 1.2;
  }
  CHECK(compare_stored(baseline, late, by("latency_ms.p99"), 0.05).all.verdict == Verdict::regressed);
  CHECK(compare_stored(late, baseline, by("latency_ms.p99"), 0.05).all.verdict == Verdict::fine);
}

TEST_CASE("stored results raise about as many false alarms as they may") {
  int alarms = 0;
  for (std::uint64_t i = 0; i < 60; ++i) {
    alarms += compare_stored(run_of(1, 5, 2 * i), run_of(1, 5, 2 * i + 1), by("throughput_mbps"), 0).all.verdict ==
                      Verdict::regressed
                  ? 1
                  : 0;
  }
  CHECK(alarms <= 7);  // 5 % of 60 is 3
}

TEST_CASE("too few trials, or no cell in common, give no verdict") {
  const StoredComparison few = compare_stored(run_of(1, 3, 1), run_of(0.5, 3, 2), by("throughput_mbps"), 0.05);
  CHECK(few.all.verdict == Verdict::undecided);
  CHECK(few.all.why == "no cell is valid in both with at least 4 trials that count");
}

TEST_CASE("environments are compared without the servers' own binaries") {
  const ExperimentResult baseline = run_of(1, 4, 1);
  ExperimentResult candidate = baseline;
  candidate.environment["binaries"]["sped"] = std::string(64, 'c');
  candidate.environment["git_revision"] = "1234567";
  CHECK(environment_differences(baseline, candidate).empty());
  candidate.environment["kernel"] = "6.12";
  candidate.environment["sysctls"]["net.core.somaxconn"] = "128";
  candidate.environment["binaries"]["bakeoff-load"] = std::string(64, 'd');
  CHECK(environment_differences(baseline, candidate) == std::vector<std::string>{"kernel: 6.1 against 6.12",
                                                                                 "net.core.somaxconn: 4096 against 128",
                                                                                 "another build of bakeoff-load"});
  candidate = baseline;
  candidate.spec_sha256 = std::string(64, 'e');
  CHECK(environment_differences(baseline, candidate) == std::vector<std::string>{"the specification"});
}
