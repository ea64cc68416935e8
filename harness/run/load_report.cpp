#include "harness/run/load_report.h"

#include <nlohmann/json.hpp>
#include <string>

#include "results/histogram.h"

namespace bakeoff {

using nlohmann::json;

std::optional<double> optional_number(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

LoadCounts counts_of_report(const json& report) {
  LoadCounts counts;
  const json& errors = report.at("errors");
  const auto count = [&](const char* cause) { return errors.value(cause, std::uint64_t{0}); };
  counts.measured_s = report.at("duration_s").get<double>();
  counts.replies = report.at("replies").get<std::uint64_t>();
  counts.timeouts = count("timeout") + count("connect_timeout");
  counts.wrong_replies = count("wrong_bytes") + count("wrong_length");
  counts.without_port = count("address_unavailable");
  counts.failures = count("total") - counts.timeouts;
  for (const auto& [kind, number] : errors.items()) {
    if (kind != "total" && kind != "timeout" && kind != "connect_timeout" && number.is_number_integer() && number != 0)
      counts.kinds[kind] = number.get<std::uint64_t>();
  }
  const std::string model = report.at("model");
  if (model == "open") counts.offered = report.at("offered").get<std::uint64_t>();
  const json& connections = report.at("connections");
  counts.connections_asked = connections.at("asked").get<std::uint64_t>();
  if (model == "closed" || model == "open") {
    counts.connections_opened = connections.at("opened").get<std::uint64_t>();
    counts.starved_connections = report.value("starved_connections", std::uint64_t{0});
  } else {
    // Users come and go: connections are what they may need at most, and one that nobody needed is not starved.
    counts.connections_opened = counts.connections_asked;
  }
  // Little's law leaves out the time in which connections are set up, or a client thinks.
  const bool keep_alive = connections.value("reopened", std::uint64_t{0}) * 100 < counts.replies;
  if (model == "closed" && keep_alive && report.value("think_mean_s", json()).is_null() &&
      report.value("pipeline", 1u) == 1) {
    // Who waits for the end of a turn would have sent.
    if (const auto mean = optional_number(report, "in_flight_mean"))
      counts.in_flight_s = (*mean + optional_number(report, "paused_mean").value_or(0)) * counts.measured_s;
  }
  for (const json& one : report.at("classes")) {
    counts.classes.push_back({one.at("size_bytes").is_null() ? 0 : one.at("size_bytes").get<std::uint64_t>(),
                              one.at("attempts").get<std::uint64_t>(), one.at("timeouts").get<std::uint64_t>()});
  }
  if (const auto share = optional_number(report.at("client"), "busiest_share"))
    counts.busiest_client_s = *share * counts.measured_s;
  return counts;
}

void note_load(const json& report, double allowed_ms, Figures& figures) {
  figures[Metric::throughput_mbps] = optional_number(report, "throughput_mbps");
  figures[Metric::replies_per_s] = optional_number(report, "replies_per_s");
  figures[Metric::errors] = optional_number(report.at("errors"), "total");
  if (const auto reopened = optional_number(report.at("connections"), "reopened")) {
    if (const double duration_s = report.at("duration_s").get<double>(); duration_s > 0)
      figures[Metric::connections_per_s] = *reopened / duration_s;
  }
  const json& latency = report.at("latency_ms");
  for (const MetricName& metric : metric_table) {
    if (std::string_view(metric.group) == "latency_ms") figures[metric.metric] = optional_number(latency, metric.name);
  }
  const Histogram histogram = Histogram::from_json(report.at("histogram"));
  if (histogram.count() > 0)
    figures[Metric::latency_p95_ms] = static_cast<double>(histogram.percentile_ns(0.95)) * 1e-6;
  double late = 0;
  histogram.for_each([&](std::size_t bucket, std::uint64_t count) {
    if (static_cast<double>(Histogram::bucket_low(bucket)) * 1e-6 > allowed_ms) late += static_cast<double>(count);
  });
  const double failed = figures[Metric::errors].value_or(0), asked = static_cast<double>(histogram.count()) + failed;
  if (asked > 0) figures[Metric::sla_violations] = (late + failed) / asked;
}

}  // namespace bakeoff
