#include "results/summary.h"

#include "tests/catch.h"
#include "tests/results/samples.h"

using namespace bakeoff;

namespace {

using Reasons = std::vector<std::string>;

std::vector<Trial> trials_of(const Cell& cell, const std::vector<double>& mbps) {
  std::vector<Trial> trials;
  for (const double value : mbps)
    trials.push_back(sample_trial(cell, Phase::sweep, static_cast<std::uint32_t>(trials.size()), value));
  return trials;
}

const Cell cell = sample_cell("sped", 64, 1);

}  // namespace

TEST_CASE("a cell's figures are the estimates over its trials") {
  std::vector<Trial> trials = trials_of(cell, {90, 100, 95});
  trials.push_back(sample_trial(sample_cell("mt", 64, 64), Phase::sweep, 0, 1));
  const CellResult result = summarise(cell, trials, {});
  CHECK(result.valid);
  CHECK(result.reasons.empty());
  CHECK(result.trials.size() == 3);
  CHECK(result.void_trials == 0);
  CHECK(*result.summary[Metric::throughput_mbps].median == Approx(95).epsilon(0.001));
  CHECK(result.summary[Metric::throughput_mbps].n == 3);
  CHECK(result.summary[Metric::memory_bytes].n == 0);
  CHECK_FALSE(result.summary[Metric::memory_bytes].median);
  for (const Trial& trial : result.trials) CHECK(trial.counted);
}

TEST_CASE("fresh trials push the sweep's aside") {
  const CellResult result =
      summarise(cell,
                {sample_trial(cell, Phase::sweep, 0, 200), sample_trial(cell, Phase::final, 0, 100),
                 sample_trial(cell, Phase::final, 1, 102)},
                {});
  CHECK(result.is_final);
  CHECK(*result.summary[Metric::throughput_mbps].median == Approx(101).epsilon(0.001));
  CHECK(result.trials.size() == 3);
  CHECK_FALSE(result.trials[0].counted);
  CHECK(result.trials[1].counted);
}

TEST_CASE("of several attempts the last one counts, unless it is void") {
  Trial first = sample_trial(cell, Phase::sweep, 0, 10);
  first.void_causes = {"other processes took the processors"};
  Trial second = sample_trial(cell, Phase::sweep, 0, 20);
  second.attempt = 1;
  CellResult result = summarise(cell, {second, first}, {});
  CHECK(result.summary[Metric::throughput_mbps].median == 20);
  CHECK(result.valid);
  CHECK(result.reasons.empty());
  CHECK(result.void_trials == 1);
  CHECK(result.trials[0].counted);
  CHECK_FALSE(result.trials[1].counted);
  CHECK(outcomes({second, first}).size() == 1);

  second.void_causes = first.void_causes;
  CHECK(outcomes({second, first}).empty());
  const Trial other = sample_trial(cell, Phase::sweep, 1, 30);
  result = summarise(cell, {first, second, other}, {});
  CHECK(result.summary[Metric::throughput_mbps].n == 1);
  CHECK(result.valid);
  CHECK(result.reasons == Reasons{"1 of 2 trials stayed void: other processes took the processors"});
  CHECK(result.void_trials == 2);
}

TEST_CASE("a cell of void trials alone shows what they showed, and is not valid") {
  std::vector<Trial> trials = trials_of(cell, {10, 12});
  for (Trial& trial : trials) trial.void_causes = {"the ceiling could not be read"};
  const CellResult result = summarise(cell, trials, {});
  CHECK_FALSE(result.valid);
  CHECK(result.reasons == Reasons{"every trial was void: the ceiling could not be read"});
  CHECK(result.summary[Metric::throughput_mbps].n == 2);
  CHECK_FALSE(result.trials[0].counted);
  CHECK(summarise(cell, {}, {}).reasons == Reasons{"not measured"});
}

TEST_CASE("no outcome is dropped: an invalid cell's figures are over all of its trials") {
  // Six trials time out, six do not: together they time out too often.
  std::vector<Trial> trials = trials_of(cell, {10, 10, 10, 10, 10, 10, 99, 99, 99, 99, 99, 99});
  for (std::size_t i = 0; i < 6; ++i) {
    trials[i].counts->replies = 4800;
    trials[i].counts->timeouts = 1600;
    trials[i].counts->classes.clear();
  }
  CellResult result = summarise(cell, trials, {});
  CHECK_FALSE(result.valid);
  CHECK(result.reasons == Reasons{"time-outs 12.5 %"});
  CHECK(result.summary[Metric::throughput_mbps].n == 12);
  CHECK(*result.summary[Metric::throughput_mbps].median < 90);
  for (const Trial& trial : result.trials) CHECK(trial.counted);
  // With fewer of them the cell keeps within the rule, and they still count.
  for (std::size_t i = 0; i < 4; ++i) trials[i].counts = sample_counts();
  result = summarise(cell, trials, {});
  CHECK(result.valid);
  CHECK(result.summary[Metric::throughput_mbps].n == 12);
}

TEST_CASE("a server that dies in one trial of many is not valid, and that trial stays") {
  std::vector<Trial> trials = trials_of(cell, {10, 12, 11});
  trials[2].failures = {"the server died"};
  CellResult result = summarise(cell, trials, {});
  CHECK_FALSE(result.valid);
  CHECK(result.reasons == Reasons{"1 of 3 trials: the server died"});
  CHECK(result.summary[Metric::throughput_mbps].n == 3);
  for (Trial& trial : trials) {
    trial.failures = {"the server died"};
    trial.counts.reset();
    trial.figures = {};
  }
  result = summarise(cell, trials, {});
  CHECK(result.reasons == Reasons{"the server died"});
  CHECK(result.summary[Metric::throughput_mbps].n == 0);
}

TEST_CASE("an SLO is missed by all replies together, and no trial is dropped for it") {
  // One trial in ten has 20 slow replies of 100: of all replies 2 % are slow, so the 99th percentile of all is one of
  // them, while nine of ten trials meet the limit.
  std::vector<Trial> trials = trials_of(cell, std::vector<double>(10, 100.0));
  for (std::size_t i = 0; i < trials.size(); ++i) {
    std::vector<double> latencies(100, 5);
    if (i == 3) std::fill(latencies.begin(), latencies.begin() + 20, 80);
    trials[i].evidence = sample_evidence(latencies);
    trials[i].figures[Metric::latency_p99_ms] = i == 3 ? 80 : 5;
  }
  CellRules rules;
  rules.slo = {{Metric::latency_p99_ms, 20}};
  const CellResult result = summarise(cell, trials, rules);
  CHECK_FALSE(result.valid);
  CHECK(result.reasons.size() == 1);
  CHECK(result.reasons.front().starts_with("misses the SLO: latency p99 80"));
  CHECK(result.reasons.front().ends_with(" ms over all replies, above 20 ms"));
  CHECK(result.summary[Metric::latency_p99_ms].n == 10);
  CHECK(*result.summary[Metric::latency_p99_ms].upper <= 80);
  for (const Trial& trial : result.trials) CHECK(trial.counted);
  rules.slo = {{Metric::latency_p90_ms, 20}};
  CHECK(summarise(cell, trials, rules).valid);
  // Without histograms the estimate over the trials has to do.
  for (Trial& trial : trials) trial.evidence = nullptr;
  rules.slo = {{Metric::latency_p99_ms, 4}};
  CHECK_FALSE(summarise(cell, trials, rules).valid);
}

TEST_CASE("percentiles over all replies come from merged histograms, and trials keep their own") {
  std::vector<Trial> trials = trials_of(cell, {100, 100});
  trials[0].evidence = sample_evidence({1}, 99);
  trials[1].evidence = sample_evidence({100}, 1);
  trials[0].figures[Metric::latency_p90_ms] = 1;
  trials[1].figures[Metric::latency_p90_ms] = 100;
  const CellResult result = summarise(cell, trials, {});
  CHECK(*result.summary.pooled[Metric::latency_p90_ms] == Approx(1).epsilon(0.002));
  CHECK(*result.summary.pooled[Metric::latency_max_ms] == Approx(100).epsilon(0.002));
  CHECK(*result.summary.pooled[Metric::latency_mean_ms] == Approx(1.99).epsilon(0.002));
  CHECK(*result.summary[Metric::latency_p90_ms].median == Approx(10));  // of two trials that lie a factor of 100 apart
  CHECK_FALSE(result.summary[Metric::latency_p90_ms].lower);
  // One trial with replies and without a histogram: they cannot all be told.
  trials[0].evidence = nullptr;
  CHECK_FALSE(summarise(cell, trials, {}).summary.pooled[Metric::latency_p90_ms]);
  // One without replies has nothing to add.
  trials[0].counts.reset();
  CHECK(*summarise(cell, trials, {}).summary.pooled[Metric::latency_p90_ms] == Approx(100).epsilon(0.002));
}

TEST_CASE("a saturated client makes a cell invalid, and keeps its trials") {
  std::vector<Trial> trials = trials_of(cell, {10, 12, 11, 10, 12});
  for (Trial& trial : trials) trial.counts->busiest_client_s = 0.99;
  CellResult result = summarise(cell, trials, {});
  CHECK_FALSE(result.valid);
  CHECK(result.reasons == Reasons{"client out of CPU"});
  CHECK(result.summary[Metric::throughput_mbps].n == 5);
  // One fast trial does not make the cell so, and is not left out either.
  for (std::size_t i = 1; i < 5; ++i) trials[i].counts->busiest_client_s = 0.8;
  result = summarise(cell, trials, {});
  CHECK(result.valid);
  CHECK(result.summary[Metric::throughput_mbps].n == 5);
}

TEST_CASE("throughput that still changes is a remark") {
  std::vector<Trial> trials = trials_of(cell, {10, 12, 11, 10, 12, 11});
  for (std::size_t i = 0; i < trials.size(); ++i) trials[i].drift = 0.2 + 0.01 * static_cast<double>(i);
  CellResult result = summarise(cell, trials, {});
  CHECK(result.valid);
  CHECK(result.summary[Metric::throughput_mbps].n == 6);
  CHECK(result.reasons == Reasons{"not settled: throughput rose by 25 % within the measured time"});
  for (Trial& trial : trials) *trial.drift *= -1;
  CHECK(summarise(cell, trials, {}).reasons ==
        Reasons{"not settled: throughput fell by 20 % within the measured time"});
  // One that changes this way, and one that way: chance.
  for (std::size_t i = 0; i < trials.size(); ++i) trials[i].drift = i % 2 == 0 ? 0.3 : -0.3;
  CHECK(summarise(cell, trials, {}).reasons.empty());
  for (Trial& trial : trials) trial.drift = 0.15;
  CellRules patient;
  patient.drift = 0.2;
  CHECK(summarise(cell, trials, patient).reasons.empty());
  CHECK_FALSE(summarise(cell, trials, {}).reasons.empty());
}

TEST_CASE("remarks do not spoil a cell, and are told with the number of trials") {
  std::vector<Trial> trials = trials_of(cell, {10, 12, 11});
  trials[1].remarks = trials[2].remarks = {"no CPU figures"};
  const CellResult result = summarise(cell, trials, {});
  CHECK(result.valid);
  CHECK(result.reasons == Reasons{"2 of 3 trials: no CPU figures"});
}

TEST_CASE("a cell without any report of the client is not valid") {
  std::vector<Trial> trials = trials_of(cell, {10, 12});
  for (Trial& trial : trials) {
    trial.counts.reset();
    trial.figures = {};
  }
  const CellResult result = summarise(cell, trials, {});
  CHECK_FALSE(result.valid);
  CHECK(result.reasons == Reasons{"no trial has a report of the client"});
}
