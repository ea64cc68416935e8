#include "results/model.h"

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/results/samples.h"

using namespace bakeoff;

TEST_CASE("a result survives being written and read") {
  const Cell cell = sample_cell("sped", 64, 1);
  Trial trial = sample_trial(cell, Phase::final, 3, 95.25);
  trial.void_causes = {"the machine changed speed"};
  trial.failures = {"the server died"};
  trial.remarks = {"no CPU figures"};
  trial.drift = 0.02;
  trial.evidence = {{"load", {{"replies", 7}}}};
  ExperimentResult result =
      sample_result({cell}, {trial, sample_trial(cell, Phase::final, 4, 97)}, Metric::latency_p99_ms);
  result.warm_ups = {{"rate=500", 0.15, "mt", {"mp", "amped"}}};
  result.turn_s = 0.025;
  result.cells[0].summary.pooled[Metric::latency_p99_ms] = 13.5;
  const nlohmann::json written = to_json(result);
  CHECK(written["cells"][0]["load"]["bodies"] == "copied");
  CHECK(written["cells"][0]["void_trials"] == 1);
  CHECK(written["cells"][0]["summary"]["latency_ms"]["p99"]["pooled"] == 13.5);
  CHECK(written["experiment"]["ranked_by"] == "latency_ms.p99");
  CHECK(written["experiment"]["warm_ups"][0]["unsettled"].size() == 2);
  CHECK(written["experiment"]["turn_s"] == 0.025);
  CHECK(to_json(result_from_json(written)) == written);
  CHECK_FALSE(written["cells"][0]["trials"][0].contains("evidence"));
  CHECK_FALSE(written["cells"][0]["trials"][0].contains("counts"));
  const nlohmann::json line = to_json(trial);
  CHECK(line["evidence"]["load"]["replies"] == 7);
  CHECK(line["counts"]["replies"] == 6400);
  CHECK(line["void_causes"].size() == 1);
  CHECK(line["failures"].size() == 1);
  CHECK(line["remarks"].size() == 1);
  CHECK(line["drift"] == 0.02);
  CHECK(to_json(trial_from_json(line)) == line);
  nlohmann::json vast = line;
  vast["block"] = 3e28;  // converting it to an integer would be undefined
  CHECK_THROWS_WITH(trial_from_json(vast), "expected a whole number from 0 to 4294967295, got 3e+28");
}

TEST_CASE("a result of another version, or cut in half, is refused with a sentence") {
  nlohmann::json result = to_json(sample_result({}, {}));
  result["schema_version"] = result_schema_version + 1;
  CHECK_THROWS_WITH(result_from_json(result),
                    "the result has schema version 3, this bakeoff reads version 2; use a newer bakeoff");
  result["schema_version"] = 1;
  CHECK_THROWS_WITH(
      result_from_json(result),
      "the result has schema version 1, this bakeoff reads version 2; older versions summarised trials by "
      "another estimator, so measure again");
  result["schema_version"] = result_schema_version;
  result["experiment"]["ranked_by"] = "beauty";
  CHECK_THROWS_WITH(result_from_json(result), "not a result of bakeoff: ranked_by: there is no figure beauty");
  result["experiment"]["ranked_by"] = "throughput_mbps";
  CHECK_NOTHROW(result_from_json(result));
  result.erase("cells");
  CHECK_THROWS_AS(result_from_json(result), UsageError);
}

TEST_CASE("cells that ask for other files, or at another rate, are contests of their own") {
  Cell cell = sample_cell("a", 64, 1);
  CHECK(contest_of(cell).empty());
  cell.workload_set = {{"size_bytes", "1KB"}};
  CHECK(contest_of(cell) == "size_bytes=1KB");
  cell.rate = 500;
  CHECK(contest_of(cell) == "size_bytes=1KB/rate=500");
  cell.workload_set.clear();
  cell.rate = 1000.5;
  CHECK(contest_of(cell) == "rate=1000.5");
}

TEST_CASE("the table of figures is in the order of their enumeration, each with a name of its own") {
  for (std::size_t i = 0; i < metric_table.size(); ++i) {
    CHECK(static_cast<std::size_t>(metric_table[i].metric) == i);
    const MetricName* found = find_metric(path_of(metric_table[i]));
    REQUIRE(found != nullptr);
    CHECK(found->metric == metric_table[i].metric);
    CHECK(path_of(name_of(metric_table[i].metric)) == path_of(metric_table[i]));
  }
  CHECK(find_metric("p99") == nullptr);
}

TEST_CASE("figures that follow from others are there where those are") {
  Figures figures;
  derive_figures(figures);
  CHECK(figures == Figures());
  figures[Metric::replies_per_s] = 50'000;
  figures[Metric::server_cpu_us_per_reply] = 10;
  figures[Metric::latency_mean_ms] = 1.5;
  figures[Metric::cpu_idle_share] = 0.3;
  figures[Metric::cpu_iowait_share] = 0.2;
  figures[Metric::memory_bytes] = 4e6;
  derive_figures(figures);
  CHECK(*figures[Metric::execution_time_s] == Approx(2));
  CHECK(*figures[Metric::waiting_ms] == Approx(1.49));
  CHECK(*figures[Metric::cpu_utilisation] == Approx(0.5));
  CHECK(*figures[Metric::replies_per_cpu_s] == Approx(100'000));
  CHECK(*figures[Metric::replies_per_s_per_mb] == Approx(12'500));
  figures[Metric::latency_mean_ms] = 0.001;
  figures[Metric::replies_per_s] = 0;
  derive_figures(figures);
  CHECK(*figures[Metric::waiting_ms] == 0);
}

TEST_CASE("a result from before there was a figure is read without it") {
  const Cell cell = sample_cell("sped", 64, 1);
  nlohmann::json old = to_json(sample_result({cell}, {sample_trial(cell, Phase::sweep, 0, 90)}));
  old["cells"][0]["summary"].erase("waiting_ms");
  old["cells"][0]["trials"][0]["figures"].erase("waiting_ms");
  CHECK_FALSE(result_from_json(old).cells.at(0).summary[Metric::waiting_ms].median);
}
