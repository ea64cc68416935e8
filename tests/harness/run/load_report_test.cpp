#include "harness/run/load_report.h"

#include <nlohmann/json.hpp>

#include "results/histogram.h"
#include "tests/catch.h"

using namespace bakeoff;
using nlohmann::json;

namespace {

json closed_loop() {
  return {{"model", "closed"},
          {"replies", 1000},
          {"replies_per_s", 500.0},
          {"throughput_mbps", 40.0},
          {"duration_s", 2.0},
          {"threads", 2},
          {"offered", nullptr},
          {"in_flight_mean", 63.5},
          {"think_mean_s", nullptr},
          {"pipeline", 1},
          {"starved_connections", 1},
          {"connections", {{"asked", 64}, {"opened", 63}, {"reopened", 0}}},
          {"errors",
           {{"total", 9},
            {"timeout", 2},
            {"connect_timeout", 1},
            {"wrong_bytes", 3},
            {"wrong_length", 1},
            {"reset", 1},
            {"address_unavailable", 1}}},
          {"latency_ms", {{"mean", nullptr}, {"p99", 12.5}}},
          {"histogram", json::parse(Histogram().to_json().dump())},
          {"client", {{"cpu_share", 1.2}, {"busiest_share", 0.98}}},
          {"classes",
           {{{"size_bytes", 102}, {"attempts", 5}, {"timeouts", 1}},
            {{"size_bytes", nullptr}, {"attempts", 6}, {"timeouts", 0}}}}};
}

}  // namespace

TEST_CASE("the load generator's report becomes what the validity rules judge") {
  const LoadCounts counts = counts_of_report(closed_loop());
  CHECK(counts.trials == 1);
  CHECK(counts.measured_s == 2);
  CHECK(counts.replies == 1000);
  CHECK(counts.timeouts == 3);
  CHECK(counts.failures == 6);
  CHECK(counts.kinds == std::map<std::string, std::uint64_t>{
                            {"wrong_bytes", 3}, {"wrong_length", 1}, {"reset", 1}, {"address_unavailable", 1}});
  CHECK(counts.wrong_replies == 4);
  CHECK(counts.without_port == 1);
  CHECK(counts.connections_asked == 64);
  CHECK(counts.connections_opened == 63);
  CHECK(counts.starved_connections == 1);
  CHECK(counts.in_flight_s == 127.0);
  CHECK_FALSE(counts.offered);
  CHECK_FALSE(counts.server_busy_s);
  REQUIRE(counts.classes.size() == 2);
  CHECK(counts.classes[0].size_bytes == 102);
  CHECK(counts.classes[0].timeouts == 1);
  CHECK(counts.classes[1].size_bytes == 0);
  CHECK_THROWS_AS(counts_of_report(json::object()), json::exception);
}

TEST_CASE("it is the client's busiest thread that counts, not the mean of all") {
  // Two threads: one that is out of CPU, and one that uses a fifth of a processor.
  const LoadCounts counts = counts_of_report(closed_loop());
  CHECK(*counts.busiest_client_s == Approx(2 * 0.98));
  LoadCounts sound = counts;
  sound.failures = sound.wrong_replies = sound.without_port = sound.starved_connections = 0;
  sound.connections_opened = sound.connections_asked;
  sound.classes.clear();
  const std::vector<BrokenRule> broken = broken_rules(sound, ValidityLimits{});
  REQUIRE(broken.size() == 1);
  CHECK(broken.front().text == "client out of CPU");
}

TEST_CASE("Little's law is left out where it does not tell") {
  const auto in_flight_s = [](auto change) {
    json report = closed_loop();
    change(report);
    return counts_of_report(report).in_flight_s;
  };
  CHECK(
      in_flight_s([](json& report) { report["connections"]["reopened"] = 9; }));  // less than one in a hundred replies
  CHECK_FALSE(in_flight_s([](json& report) { report["connections"]["reopened"] = 10; }));
  CHECK_FALSE(in_flight_s([](json& report) { report["think_mean_s"] = 1.0; }));
  CHECK_FALSE(in_flight_s([](json& report) { report["pipeline"] = 4; }));
  CHECK_FALSE(in_flight_s([](json& report) { report["in_flight_mean"] = nullptr; }));
}

TEST_CASE("an open loop tells what was offered, and users that come and go starve nobody") {
  json report = closed_loop();
  report["model"] = "open";
  report["offered"] = 1010;
  CHECK(counts_of_report(report).offered == 1010);
  CHECK_FALSE(counts_of_report(report).in_flight_s);
  CHECK(counts_of_report(report).starved_connections == 1);
  report["model"] = "sessions";
  report["offered"] = nullptr;
  const LoadCounts sessions = counts_of_report(report);
  CHECK_FALSE(sessions.offered);
  CHECK(sessions.starved_connections == 0);
  CHECK(sessions.connections_opened == 64);
}

TEST_CASE("figures come from the report, and what it does not have is empty") {
  json report = closed_loop();
  Histogram histogram;
  for (int ms = 1; ms <= 100; ++ms) histogram.record(ms * 1'000'000);
  report["histogram"] = json::parse(histogram.to_json().dump());
  report["connections"]["reopened"] = 20;
  Figures figures;
  note_load(report, 90, figures);
  CHECK(figures[Metric::throughput_mbps] == 40.0);
  CHECK(figures[Metric::replies_per_s] == 500.0);
  CHECK(figures[Metric::errors] == 9.0);
  CHECK(figures[Metric::connections_per_s] == 10.0);
  CHECK_FALSE(figures[Metric::latency_mean_ms]);
  CHECK_FALSE(figures[Metric::latency_p50_ms]);
  CHECK(figures[Metric::latency_p99_ms] == 12.5);
  CHECK(*figures[Metric::latency_p95_ms] == Approx(95).epsilon(0.002));
  CHECK(*figures[Metric::sla_violations] == Approx((10.0 + 9) / 109).epsilon(0.001));
  CHECK(optional_number(report, "replies") == 1000.0);
  CHECK_FALSE(optional_number(report, "offered"));
  CHECK_FALSE(optional_number(report, "no such"));
}
