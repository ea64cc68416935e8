#include "harness/load/report.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/catch.h"

using namespace bakeoff;

namespace {

LoadResult ten_seconds() {
  LoadResult result;
  Recorder recorder(2, 1, false);
  constexpr std::int64_t second_ns = 1'000'000'000;
  recorder.set_window(0, 12 * second_ns);
  recorder.opened(0, -1);
  // Second k has k + 1 replies of 10 + 90 bytes, each 1 ms long.
  for (int second = 0; second < 12; ++second)
    for (int i = 0; i <= second; ++i) {
      const std::int64_t now_ns = second * second_ns + (i + 1) * 2'000'000;
      recorder.attempted(0, now_ns - 1'000'000);
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

TEST_CASE("httperf's reply rate is of whole five seconds, with the sample standard deviation") {
  LoadSpec spec;
  const std::string text = to_httperf_text(spec, ten_seconds());
  // 15 replies in the first five seconds, 40 in the next, the last two seconds are dropped.
  REQUIRE(text.find("Reply rate [replies/s]: min 3.0 avg 5.5 max 8.0 stddev 3.5 (2 samples)") != std::string::npos);
  REQUIRE(text.find("Total: connections 1 requests 78 replies 78 test-duration 12.000 s") != std::string::npos);
  REQUIRE(text.find("Reply size [B]: header 90.0 content 10.0 (total 100.0)") != std::string::npos);
  REQUIRE(text.find("Errors: total 1 client-timo 0 socket-timo 0 connrefused 0 connreset 1") != std::string::npos);
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
