// Trials and cells as the tests of this floor need them.
#pragma once

#include "core/base/random.h"
#include "results/histogram.h"
#include "results/model.h"
#include "results/ranking.h"
#include "results/summary.h"

namespace bakeoff {

// About normal, with mean 0 and standard deviation 1.
inline double normal(Random& random) {
  double sum = 0;
  for (int i = 0; i < 12; ++i) sum += random.unit();
  return sum - 6;
}

inline Cell sample_cell(const std::string& server, std::uint32_t connections, std::uint32_t workers) {
  Cell cell;
  cell.id = server + "/connections=" + std::to_string(connections) + "/workers=" + std::to_string(workers);
  cell.server = cell.architecture = server;
  cell.workload = "specweb99";
  cell.connections = connections;
  cell.workers = workers;
  cell.options = {{"congestion", "cubic"}};
  return cell;
}

// 64 connections that always have a request under way, and nothing wrong.
inline LoadCounts sample_counts() {
  LoadCounts counts;
  counts.measured_s = 1;
  counts.replies = 6400;
  counts.in_flight_s = 64;
  counts.connections_asked = counts.connections_opened = 64;
  counts.classes = {{102, 6400, 0}};
  return counts;
}

inline Trial sample_trial(const Cell& cell, Phase phase, std::uint32_t block, double mbps, double ceiling = 100) {
  Trial trial;
  trial.key = {phase, block, cell.id};
  trial.started = "2024-05-01T12:00:00Z";
  trial.counts = sample_counts();
  trial.ceiling_before = trial.ceiling_after = ceiling;
  trial.figures[Metric::throughput_mbps] = mbps;
  trial.figures[Metric::replies_per_s] = mbps * 8;
  trial.figures[Metric::relative_to_ceiling] = mbps / ceiling;
  trial.figures[Metric::latency_p99_ms] = 12.5;
  return trial;
}

// So many replies of each of these latencies, as a trial's evidence keeps them.
inline nlohmann::json sample_evidence(const std::vector<double>& latencies_ms, int each = 1) {
  Histogram histogram;
  for (const double ms : latencies_ms) {
    for (int i = 0; i < each; ++i) histogram.record(static_cast<std::int64_t>(ms * 1e6));
  }
  return {{"load", {{"histogram", histogram.to_json().dump()}}}};
}

inline ExperimentResult sample_result(const std::vector<Cell>& cells, const std::vector<Trial>& trials,
                                      Metric ranked_by = Metric::throughput_mbps, const CellRules& rules = {}) {
  ExperimentResult result;
  result.name = "sample";
  result.warm_ups = {{"", 0.1, "", {}}};
  result.spec_sha256 = std::string(64, 'a');
  result.environment = {{"kernel", "6.1"},
                        {"cpu", nullptr},
                        {"processors", 2},
                        {"memory_bytes", 1 << 30},
                        {"sysctls", {{"net.core.somaxconn", "4096"}}},
                        {"limits", {{"open_files", 1024}}},
                        {"git_revision", nullptr},
                        {"binaries", {{"sped", std::string(64, 'b')}}},
                        {"placement", {{"server_processors", {0}}, {"client_processors", {1}}}}};
  for (const Cell& cell : cells) result.cells.push_back(summarise(cell, trials, rules));
  result.ranked_by = ranked_by;
  result.best = rank(result.cells, ranked_by);
  return result;
}

}  // namespace bakeoff
