// The result of an experiment: cells (a server, a load, a number of workers), their trials, what these say together, and
// which cell is each server's best. results/schema/result.schema.json describes the JSON that it is written as.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "results/statistics.h"

namespace bakeoff {

constexpr int result_schema_version = 1;

// Every figure a trial can have. Names and units: metric_table; definitions: results/README.md.
enum class Metric {
  throughput_mbps,
  replies_per_s,
  connections_per_s,
  errors,
  latency_mean_ms,
  latency_p50_ms,
  latency_p90_ms,
  latency_p95_ms,
  latency_p99_ms,
  latency_p999_ms,
  latency_max_ms,
  server_cpu_us_per_reply,
  context_switches_per_s,
  user_switches_per_s,
  cpu_idle_share,
  cpu_iowait_share,
  disk_waiting_tasks,
  cache_hit_share,
  memory_bytes,
  page_cache_bytes,
  relative_to_ceiling,
  cpu_relative_to_ceiling,
  sla_violations,
  execution_time_s,
  waiting_ms,
  cpu_utilisation,
  replies_per_cpu_s,
  replies_per_s_per_mb,
};

// Whether a server is better for more of a figure. Neither: it tells why, not how well.
enum class Better { more, less, neither };

struct MetricName {
  Metric metric;
  const char* group;  // the JSON object within the summary, or empty
  const char* name;
  Better better;
};

constexpr std::array<MetricName, 28> metric_table = {{
    {Metric::throughput_mbps, "", "throughput_mbps", Better::more},            // all bytes received, heads too, * 8 / 1e6 / s
    {Metric::replies_per_s, "", "replies_per_s", Better::more},
    {Metric::connections_per_s, "", "connections_per_s", Better::more},
    {Metric::errors, "", "errors", Better::less},                              // of the measured time, all causes
    {Metric::latency_mean_ms, "latency_ms", "mean", Better::less},
    {Metric::latency_p50_ms, "latency_ms", "p50", Better::less},
    {Metric::latency_p90_ms, "latency_ms", "p90", Better::less},
    {Metric::latency_p95_ms, "latency_ms", "p95", Better::less},
    {Metric::latency_p99_ms, "latency_ms", "p99", Better::less},
    {Metric::latency_p999_ms, "latency_ms", "p999", Better::less},
    {Metric::latency_max_ms, "latency_ms", "max", Better::less},
    {Metric::server_cpu_us_per_reply, "", "server_cpu_us_per_reply", Better::less},  // user and system, of the server's process tree
    {Metric::context_switches_per_s, "", "context_switches_per_s", Better::neither},    // voluntary and not, of the server's process tree
    {Metric::user_switches_per_s, "", "user_switches_per_s", Better::neither},    // between user-level threads, as the server counts them
    {Metric::cpu_idle_share, "", "cpu_idle_share", Better::neither},              // of the server's processors, 0 to 1
    {Metric::cpu_iowait_share, "", "cpu_iowait_share", Better::neither},
    {Metric::disk_waiting_tasks, "", "disk_waiting_tasks", Better::neither},      // of the server's process tree, how many at once in the mean
    {Metric::cache_hit_share, "", "cache_hit_share", Better::neither},            // requests that a slow disk had nothing to read for, 0 to 1
    {Metric::memory_bytes, "", "memory_bytes", Better::less},                  // proportional set size of the server's process tree
    {Metric::page_cache_bytes, "", "page_cache_bytes", Better::neither},          // of the machine, files only
    {Metric::relative_to_ceiling, "", "relative_to_ceiling", Better::more},    // replies/s over those of the ceiling program just before and after
    {Metric::cpu_relative_to_ceiling, "", "cpu_relative_to_ceiling", Better::less},  // server CPU time a reply over the ceiling program's
    {Metric::sla_violations, "", "sla_violations", Better::less},              // share of requests that failed or took too long
    // These follow from others: derive_figures().
    {Metric::execution_time_s, "", "execution_time_s", Better::less},          // of 100,000 requests at the measured rate
    {Metric::waiting_ms, "", "waiting_ms", Better::less},                      // mean response time less the server's CPU time a reply
    {Metric::cpu_utilisation, "", "cpu_utilisation", Better::neither},            // of the server's processors, 0 to 1
    {Metric::replies_per_cpu_s, "", "replies_per_cpu_s", Better::more},        // per second of the server's CPU time
    {Metric::replies_per_s_per_mb, "", "replies_per_s_per_mb", Better::more},  // per million bytes of the server's memory
}};

// "latency_ms.p99", "errors": as it stands in the JSON. Null for any other word.
const MetricName* find_metric(std::string_view path);
std::string path_of(const MetricName& metric);

// The figures of one trial; empty: could not be had.
class Figures {
 public:
  std::optional<double>& operator[](Metric metric) { return values_[static_cast<std::size_t>(metric)]; }
  const std::optional<double>& operator[](Metric metric) const { return values_[static_cast<std::size_t>(metric)]; }
  bool operator==(const Figures&) const = default;

 private:
  std::array<std::optional<double>, metric_table.size()> values_;
};

// Fills in the figures that follow from others, where those are there.
void derive_figures(Figures& figures);

struct Summary {
  std::array<Figure, metric_table.size()> figures;
  const Figure& operator[](Metric metric) const { return figures[static_cast<std::size_t>(metric)]; }
  Figure& operator[](Metric metric) { return figures[static_cast<std::size_t>(metric)]; }
};

struct Cell {
  std::string id;       // "symped/connections=1024/workers=4"
  std::string server;   // as the tables call it
  std::string architecture;
  std::string variant;  // the part of the id that further axes make, "rate=500/poller=select"; mostly empty
  std::map<std::string, std::string> options;  // as given to the server
  std::string workload;
  std::map<std::string, std::string> workload_set;  // what an axis sets in it, {"size_bytes", "1KB"}; mostly empty
  std::string load_model = "closed";                // or "open", "partly-open"
  std::optional<double> rate;                       // requests (partly open: sessions) a second; empty: as fast as replies come
  bool bodies_discarded = false;  // by the client, in the kernel: flatters a server on the same machine
  std::uint32_t connections = 0;
  std::uint32_t workers = 0;
};

// sweep: to find each server's best cell. final: that cell again with fresh trials, because the maximum of a sweep is
// biased upwards.
enum class Phase { sweep, final };
const char* to_string(Phase phase);

// Where a trial stands in the plan. Trials of one block are run in random order.
struct TrialKey {
  Phase phase = Phase::sweep;
  std::uint32_t block = 0;
  std::string cell_id;
  auto operator<=>(const TrialKey&) const = default;
};

struct Trial {
  TrialKey key;
  std::uint32_t attempt = 0;  // 1, 2 ...: repeated because it was not steady
  std::string started;        // UTC, ISO 8601
  bool valid = false;
  std::vector<std::string> reasons;  // why it is not
  bool counted = false;  // it is one of those that its cell's summary is over; summarise() says so
  // Replies/s of the ceiling program just before and after; empty when it was not run.
  std::optional<double> ceiling_before;
  std::optional<double> ceiling_after;
  bool steady = true;  // the two differ by no more than the limit, and throughput had settled
  Figures figures;
  nlohmann::json evidence;  // what the load generator and the server reported, as it came; only in trials.jsonl
};

struct CellResult {
  Cell cell;
  std::vector<Trial> trials;  // all of them, in the order they were run
  bool valid = false;
  std::vector<std::string> reasons;  // why it is not, or what happened to some of its trials
  bool is_final = false;             // the summary is over the fresh trials alone
  Summary summary;
};

struct Best {
  std::string server;
  std::string cell_id;
  std::string contest;  // contest_of() its cell
  std::uint32_t rank_from = 0;  // the ranks that the intervals leave open
  std::uint32_t rank_to = 0;
};

struct ExperimentResult {
  std::string name;
  std::string spec_sha256;
  bool complete = true;  // every planned trial was run
  nlohmann::json environment;
  std::vector<CellResult> cells;
  std::vector<Best> best;  // best first; servers without a valid cell are missing
};

// What counts in a cell, and what it says. The fresh trials alone where there are any; of several attempts at one trial
// the last; unsteady trials only when fewer than half of them, or fewer than two, are steady (then a reason says so). A cell is valid when
// more than half of the trials that count are valid; the summary is over those.
CellResult summarise(const Cell& cell, const std::vector<Trial>& trials);

// Cells that ask for the same files compete: "size_bytes=1KB", or empty when the workload is the same for all. Small files
// would else never win against large ones.
std::string contest_of(const Cell& cell);
std::vector<std::string> contests(const std::vector<CellResult>& cells);

// The valid cell with the greatest throughput, relative to the ceiling of its minute where that is known; null when no
// cell of that server in that contest is valid.
const CellResult* best_cell(const std::vector<CellResult>& cells, const std::string& server, const std::string& contest = "");

// By each server's best cell, contest by contest, best first.
std::vector<Best> rank(const std::vector<CellResult>& cells);

// The figure by which cells are ranked.
const Figure& ranking_figure(const CellResult& cell);

nlohmann::json to_json(const ExperimentResult& result);
// UsageError when it is not a result, or of a newer version.
ExperimentResult result_from_json(const nlohmann::json& json);

// One line of trials.jsonl.
nlohmann::json to_json(const Trial& trial);
Trial trial_from_json(const nlohmann::json& json);

}  // namespace bakeoff
