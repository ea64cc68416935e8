// Trials and cells as the tests of this floor need them.
#pragma once

#include "results/model.h"

namespace bakeoff {

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

inline Trial sample_trial(const Cell& cell, Phase phase, std::uint32_t block, double mbps, double ceiling = 100) {
  Trial trial;
  trial.key = {phase, block, cell.id};
  trial.started = "2024-05-01T12:00:00Z";
  trial.valid = true;
  trial.ceiling_before = trial.ceiling_after = ceiling;
  trial.figures[Metric::throughput_mbps] = mbps;
  trial.figures[Metric::replies_per_s] = mbps * 8;
  trial.figures[Metric::relative_to_ceiling] = mbps / ceiling;
  trial.figures[Metric::latency_p99_ms] = 12.5;
  return trial;
}

inline ExperimentResult sample_result(const std::vector<Cell>& cells, const std::vector<Trial>& trials) {
  ExperimentResult result;
  result.name = "sample";
  result.spec_sha256 = std::string(64, 'a');
  result.environment = {{"kernel", "6.1"}, {"cpu", nullptr}, {"processors", 2}, {"memory_bytes", 1 << 30},
                        {"sysctls", {{"net.core.somaxconn", "4096"}}}, {"limits", {{"open_files", 1024}}}, {"git_revision", nullptr},
                        {"binaries", {{"sped", std::string(64, 'b')}}},
                        {"placement", {{"server_processors", {0}}, {"client_processors", {1}}}}};
  for (const Cell& cell : cells) result.cells.push_back(summarise(cell, trials));
  result.best = rank(result.cells);
  return result;
}

}  // namespace bakeoff
