#include "results/stored_comparison.h"

#include <cmath>

#include "core/base/random.h"
#include "tests/catch.h"
#include "tests/results/samples.h"

using namespace bakeoff;

namespace {

std::vector<Guard> by(const char* path, double margin = 0.05) {
  const MetricName* metric = find_metric(path);
  REQUIRE(metric != nullptr);
  return {{*metric, margin}};
}

// `speed` is both servers', `mt_speed` besides that one's alone.
ExperimentResult run_of(double speed, std::uint32_t trials, std::uint64_t seed, double mt_speed = 1) {
  Random random(seed);
  const std::vector<Cell> cells = {sample_cell("sped", 64, 1), sample_cell("mt", 64, 64)};
  std::vector<Trial> all;
  for (std::uint32_t block = 0; block < trials; ++block) {
    for (const Cell& cell : cells) {
      const double mbps = 1000 * speed * (cell.server == "mt" ? mt_speed : 1) * (1 + 0.04 * (random.unit() - 0.5));
      all.push_back(sample_trial(cell, Phase::final, block, mbps));
    }
  }
  return sample_result(cells, all);
}

}  // namespace

TEST_CASE("stored results are told apart, by what is better for more or for less") {
  const ExperimentResult baseline = run_of(1, 12, 1);
  const StoredComparison slower = compare_stored(baseline, run_of(0.9, 12, 2), by("throughput_mbps"));
  CHECK(slower.verdict == Verdict::regressed);
  REQUIRE(slower.judgements.size() == 2);
  for (const Judgement& judgement : slower.judgements) {
    CHECK(*judgement.ratio == Approx(0.9).epsilon(0.03));
    CHECK(*judgement.upper < 1);
    CHECK(judgement.pairs == 12);
    CHECK(judgement.verdict == Verdict::regressed);
  }
  CHECK(slower.why.find("throughput_mbps of ") == 0);
  CHECK(slower.why.find("; 2 are worse") != std::string::npos);
  const StoredComparison same = compare_stored(baseline, run_of(1, 12, 3), by("throughput_mbps"));
  CHECK(same.verdict == Verdict::fine);
  CHECK(same.why == "2 shown to be less than the margin worse");
  ExperimentResult late = baseline;
  for (CellResult& cell : late.cells) {
    for (Trial& trial : cell.trials) *trial.figures[Metric::latency_p99_ms] *= 1.2;
  }
  const StoredComparison later = compare_stored(baseline, late, by("latency_ms.p99"));
  CHECK(later.verdict == Verdict::regressed);
  CHECK(*later.judgements.front().ratio == Approx(1.2));
  CHECK(compare_stored(late, baseline, by("latency_ms.p99")).verdict == Verdict::fine);
}

TEST_CASE("stored results raise about as many false alarms as they may, and call few losses fine") {
  int alarms = 0, missed = 0;
  constexpr int runs = 400;
  const auto of_runs = [](std::uint64_t i, double mt_speed, double margin) {
    return compare_stored(run_of(1, 8, 2 * i), run_of(1, 8, 2 * i + 1, mt_speed), by("throughput_mbps", margin))
        .verdict;
  };
  for (std::uint64_t i = 0; i < runs; ++i) {
    alarms += of_runs(i, 1, 0.0001) == Verdict::regressed ? 1 : 0;
    missed += of_runs(i, 0.98, 0.02) == Verdict::fine ? 1 : 0;  // one of two is worse, by just the margin
  }
  CAPTURE(alarms, missed);
  CHECK(alarms <= 0.07 * runs);  // 5 % of 400 are 20, give or take 4
  CHECK(missed <= 0.07 * runs);
}

TEST_CASE("the margin decides what is fine, and it is not taken from the data") {
  const ExperimentResult baseline = run_of(1, 12, 4), candidate = run_of(0.97, 12, 5);
  CHECK(compare_stored(baseline, candidate, by("throughput_mbps", 0.1)).verdict == Verdict::fine);
  CHECK(compare_stored(baseline, candidate, by("throughput_mbps", 0.01)).verdict == Verdict::regressed);
}

TEST_CASE("too few trials give no verdict") {
  const StoredComparison few = compare_stored(run_of(1, 3, 1), run_of(0.5, 3, 2), by("throughput_mbps"));
  CHECK(few.verdict == Verdict::undecided);
  CHECK(few.comparable);
  CHECK_FALSE(few.judgements.front().upper);
  CHECK(few.why.find("leaves open whether it is 5 % worse") != std::string::npos);
}

TEST_CASE("a cell that is valid in the baseline alone is a regression, and one that is not valid there no measure") {
  const ExperimentResult sound = run_of(1, 12, 1);
  ExperimentResult spoiled = run_of(1, 12, 2);
  spoiled.cells[1].valid = false;
  spoiled.cells[1].reasons = {"the server died"};
  const StoredComparison worse = compare_stored(sound, spoiled, by("throughput_mbps"));
  CHECK(worse.verdict == Verdict::regressed);
  CHECK(worse.failures ==
        std::vector<std::string>{"mt/connections=64/workers=64: not valid in the candidate alone: the "
                                 "server died"});
  CHECK(worse.why == worse.failures.front());
  const StoredComparison open = compare_stored(spoiled, sound, by("throughput_mbps"));
  CHECK(open.verdict == Verdict::undecided);
  CHECK(open.left_out ==
        std::vector<std::string>{"mt/connections=64/workers=64: not valid in the baseline: the server died"});
  CHECK(open.why == "not everything could be compared: " + open.left_out.front());
}

TEST_CASE("results that have no cell in common cannot be compared") {
  ExperimentResult other = run_of(1, 12, 2);
  for (CellResult& cell : other.cells) cell.cell.id += "/rate=5";
  const StoredComparison comparison = compare_stored(run_of(1, 12, 1), other, by("throughput_mbps"));
  CHECK_FALSE(comparison.comparable);
  CHECK(comparison.verdict == Verdict::undecided);
  CHECK(comparison.why.starts_with("no cell can be compared: "));
  CHECK(comparison.left_out.size() == 2);
  // Nor does a figure that one of the two has not.
  CHECK_FALSE(compare_stored(run_of(1, 12, 1), run_of(1, 12, 2), by("memory_bytes")).comparable);
}

TEST_CASE("sweep trials of one run are not compared with fresh trials of another") {
  const ExperimentResult fresh = run_of(1, 12, 1);
  ExperimentResult swept = run_of(1, 12, 2);
  swept.cells[0].is_final = false;
  CHECK(compare_stored(fresh, swept, by("throughput_mbps")).left_out.size() == 1);
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

TEST_CASE("at a fixed rate no figure is compared that depends on the ceiling's speed") {
  ExperimentResult run = run_of(1, 12, 1);
  for (CellResult& cell : run.cells) cell.cell.rate = 1000;
  const StoredComparison refused = compare_stored(run, run, by("relative_to_ceiling"));
  CHECK(refused.judgements.empty());
  CHECK_FALSE(refused.comparable);
  REQUIRE(refused.left_out.size() == 2);
  CHECK(refused.left_out.front().find("depends on the ceiling's speed") != std::string::npos);
}
