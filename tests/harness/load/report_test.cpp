#include "harness/load/report.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/catch.h"
#include "tests/support/clock.h"

using namespace bakeoff;
using bakeoff::test::second_ns;

namespace {

LoadResult ten_seconds() {
  LoadResult result;
  Recorder recorder(2, 1, false);
  recorder.set_window(0, 12 * second_ns);
  recorder.opened(0, -1);
  // Second k has k + 1 replies of 10 + 90 bytes, each 1 ms long.
  for (int second = 0; second < 12; ++second)
    for (int i = 0; i <= second; ++i) {
      const std::int64_t now_ns = second * second_ns + (i + 1) * 2'000'000;
      recorder.attempted(0, 0, now_ns - 1'000'000);
      recorder.received(100, now_ns);
      recorder.replied(0, 0, {now_ns - 1'000'000, now_ns - 1'000'000}, 10, false, now_ns);
    }
  recorder.failed(0, 0, LoadError::reset, 3 * second_ns);
  result.recorder.merge(recorder);
  result.class_sizes_bytes = {10};
  result.worker_cpu_s = {1.2};
  result.duration_s = 12;
  return result;
}

}  // namespace

TEST_CASE("the series has each second's share") {
  LoadSpec spec;
  const auto json = to_json(spec, ten_seconds());
  REQUIRE(json["seconds"].size() == 12);
  for (std::size_t i = 0; i < 12; ++i) {
    REQUIRE(json["seconds"][i]["replies"] == i + 1);
    REQUIRE(json["seconds"][i]["received_bytes"] == 100 * (i + 1));
    REQUIRE(json["seconds"][i]["errors"] == (i == 3 ? 1 : 0));
    REQUIRE(json["seconds"][i]["latency_mean_ms"].get<double>() == Approx(1));
  }
  REQUIRE(json["replies"] == 78);
  REQUIRE(json["throughput_mbps"].get<double>() == Approx(7800 * 8e-6 / 12));
  REQUIRE(json["goodput_mbps"].get<double>() == Approx(780 * 8e-6 / 12));
  REQUIRE(json["client"]["cpu_share"].get<double>() == Approx(0.1));
}

TEST_CASE("httperf's summary has its lines, its sums and its samples") {
  LoadSpec spec;
  spec.url_text = "http://h/";
  LoadResult result = ten_seconds();
  result.user_s = 0.36;
  result.system_s = 0.84;
  // The replies are at 1 s + 1 s each; the first five seconds have 15, the next 40, the last two are dropped. Four of
  // the 78 are of other statuses, and one connection has ended.
  Recorder wire(0, 1, false);
  wire.set_window(0, 12 * second_ns);
  wire.connecting(3, 2);
  wire.connected(0, 2'000'000);
  wire.sent(80, 80 * 62, second_ns);
  for (int i = 0; i < 78; ++i) wire.completed(i < 74 ? 200 : 404, 90, 10, i == 0 ? 39 : 0, 0, 1'000'000, 3'500'000);
  wire.connection_ended(0, 3 * second_ns);
  wire.connection_ended(0, 5 * second_ns);
  result.recorder.merge(wire);
  REQUIRE(to_httperf_text(spec, result) ==
          "bakeoff-load http://h/\n"
          "Maximum connect burst length: 2\n"
          "\n"
          "Total: connections 1 requests 80 replies 78 test-duration 12.000 s\n"
          "\n"
          "Connection rate: 0.1 conn/s (12000.0 ms/conn, <=3 concurrent connections)\n"
          "Connection time [ms]: min 3000.0 avg 4000.0 max 5000.0 median 3001.0 stddev 1414.2\n"
          "Connection time [ms]: connect 2.0\n"
          "Connection length [replies/conn]: 39.000\n"
          "\n"
          "Request rate: 6.7 req/s (150.0 ms/req)\n"
          "Request size [B]: 62.0\n"
          "\n"
          "Reply rate [replies/s]: min 3.0 avg 5.5 max 8.0 stddev 3.5 (2 samples)\n"
          "Reply time [ms]: response 1.0 transfer 2.5\n"
          "Reply size [B]: header 90.0 content 10.0 footer 0.5 (total 100.5)\n"
          "Reply status: 1xx=0 2xx=74 3xx=0 4xx=4 5xx=0\n"
          "\n"
          "CPU time [s]: user 0.36 system 0.84 (user 3.0% system 7.0% total 10.0%)\n"
          "Net I/O: 1.0 KB/s (0.0*10^6 bps)\n"
          "\n"
          "Errors: total 1 client-timo 0 socket-timo 0 connrefused 0 connreset 1\n"
          "Errors: fd-unavail 0 addrunavail 0 ftab-full 0 other 0\n");
}

TEST_CASE("a percentile file climbs to the maximum and counts every value") {
  Histogram histogram;
  for (int i = 1; i <= 10'000; ++i) histogram.record(i * 1'000);
  std::ostringstream out;
  write_hgrm(out, histogram);
  std::istringstream in(out.str());
  std::string line;
  std::getline(in, line);
  REQUIRE(line.find("1/(1-Percentile)") != std::string::npos);
  double last_value = 0, last_share = -1, value = 0, share = 0;
  std::uint64_t count = 0;
  int lines = 0;
  for (std::getline(in, line); std::getline(in, line) && line[0] != '#'; ++lines) {
    std::istringstream row(line);
    REQUIRE((row >> value >> share >> count));
    REQUIRE(value >= last_value);
    REQUIRE(share > last_share);
    REQUIRE(static_cast<double>(count) >= share * 10'000 - 1);
    REQUIRE(value == Approx(share * 10).epsilon(0.02).margin(0.002));
    last_value = value;
    last_share = share;
  }
  REQUIRE(lines > 30);
  REQUIRE(share == 1);
  REQUIRE(count == 10'000);
  REQUIRE(value == 10);
}

TEST_CASE("a run without a reply has no latency, and no zeros for it") {
  LoadSpec spec;
  LoadResult result;
  result.duration_s = 1;
  result.class_sizes_bytes = {10};
  result.recorder = Recorder(1, 1, false);
  const auto json = to_json(spec, result);
  REQUIRE(json["latency_ms"]["p50"].is_null());
  REQUIRE(json["latency_ms"]["mean"].is_null());
  REQUIRE(json["send_lag_ms"].is_null());
  REQUIRE(json["verdict"]["valid"] == false);
}
