#include "harness/run/trial_runner.h"

#include "harness/run/experiment.h"
#include "harness/latency.h"
#include "results/histogram.h"
#include "harness/run/progress.h"
#include "harness/run/run_folder.h"
#include "tests/catch.h"

using namespace bakeoff;
using nlohmann::json;

TEST_CASE("the load generator's report becomes what the validity rules judge") {
  const json load = {{"model", "closed"}, {"replies", 1000}, {"replies_per_s", 500.0}, {"threads", 2}, {"in_flight_mean", 63.5}, {"starved_connections", 1},
                     {"connections", {{"asked", 64}, {"opened", 63}, {"reopened", 0}}},
                     {"errors", {{"total", 9}, {"timeout", 2}, {"connect_timeout", 1}, {"wrong_bytes", 3}, {"wrong_length", 1}, {"reset", 2}}},
                     {"latency_ms", {{"mean", nullptr}}}, {"client", {{"cpu_share", 1.5}}},
                     {"classes", {{{"size_bytes", 102}, {"attempts", 5}, {"timeouts", 1}}, {{"size_bytes", nullptr}, {"attempts", 6}, {"timeouts", 0}}}}};
  const ClientReport report = client_report(load);
  CHECK(report.replies == 1000);
  CHECK(report.timeouts == 3);
  CHECK(report.failures == 6);
  CHECK(report.wrong_replies == 4);
  CHECK(report.connections_asked == 64);
  CHECK(report.connections_opened == 63);
  CHECK(report.starved_connections == 1);
  CHECK(report.in_flight_mean == 63.5);
  CHECK_FALSE(report.latency_mean_ms);
  CHECK_FALSE(report.offered_per_s);
  CHECK(report.client_cpu_share == 0.75);
  CHECK(report.keep_alive);
  REQUIRE(report.classes.size() == 2);
  CHECK(report.classes[0].timeouts == 1);
  CHECK_THROWS_AS(client_report(json::object()), json::exception);
}

TEST_CASE("percentiles come from merged histograms") {
  Histogram fast, slow;
  for (int i = 0; i < 99; ++i) fast.record(1'000'000);
  slow.record(100'000'000);
  CellResult cell;
  for (const Histogram* histogram : {&fast, &slow}) {
    Trial trial;
    trial.counted = true;
    trial.evidence = {{"load", {{"histogram", json::parse(histogram->to_json().dump())}}}, {"server", {{"tasks", 3}}}};
    cell.trials.push_back(lean(trial));
    CHECK_FALSE(cell.trials.back().evidence.contains("server"));
  }
  cell.summary[Metric::latency_p90_ms] = {50.5, 40.0, 60.0, 2};  // what the trials' own percentiles say
  use_merged_percentiles(cell);
  CHECK(*cell.summary[Metric::latency_p90_ms].median == Approx(1).epsilon(0.002));
  CHECK(*cell.summary[Metric::latency_p90_ms].lower == *cell.summary[Metric::latency_p90_ms].median);
  CHECK(*cell.summary[Metric::latency_p90_ms].upper == 60);
  CHECK(*cell.summary[Metric::latency_max_ms].median == Approx(100));
  cell.summary[Metric::latency_p90_ms] = {50.5, 40.0, 60.0, 2};
  cell.trials[0].evidence = nullptr;  // one trial without a histogram: nothing to merge
  use_merged_percentiles(cell);
  CHECK(cell.summary[Metric::latency_p90_ms].median == 50.5);
}

TEST_CASE("a trial's outcome in words") {
  Trial trial;
  trial.valid = true;
  trial.figures[Metric::throughput_mbps] = 812.4;
  CHECK(outcome_words(trial) == "812 Mbit/s");
  trial.steady = false;
  trial.evidence["flags"] = {"the machine changed speed: ceiling 180000 then 134000 replies/s"};
  trial.valid = false;
  trial.reasons = {"no replies", "client out of CPU"};
  CHECK(outcome_words(trial) == "812 Mbit/s, does not count: no replies; client out of CPU (the machine changed speed: ceiling 180000 then 134000 replies/s)");
}

TEST_CASE("times in words") {
  CHECK(duration_words(-1) == "0 s");
  CHECK(duration_words(45.4) == "45 s");
  CHECK(duration_words(125) == "2 min 5 s");
  CHECK(duration_words(11400) == "3 h 10 min");
}
