// The result of an experiment: cells (a server, a load, a number of workers), their trials, the estimates over trials,
// and each server's best cell. results/schema/result.schema.json describes its JSON.
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
#include "results/validity.h"

namespace bakeoff {

constexpr int result_schema_version = 2;

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
  Scatter scatter;
};

constexpr std::array<MetricName, 28> metric_table = {{
    // All bytes received, heads too, * 8 / 1e6 / s.
    {Metric::throughput_mbps, "", "throughput_mbps", Better::more, Scatter::factors},
    {Metric::replies_per_s, "", "replies_per_s", Better::more, Scatter::factors},
    {Metric::connections_per_s, "", "connections_per_s", Better::more, Scatter::factors},
    // Of the measured time, all causes.
    {Metric::errors, "", "errors", Better::less, Scatter::amounts},
    {Metric::latency_mean_ms, "latency_ms", "mean", Better::less, Scatter::factors},
    {Metric::latency_p50_ms, "latency_ms", "p50", Better::less, Scatter::factors},
    {Metric::latency_p90_ms, "latency_ms", "p90", Better::less, Scatter::factors},
    {Metric::latency_p95_ms, "latency_ms", "p95", Better::less, Scatter::factors},
    {Metric::latency_p99_ms, "latency_ms", "p99", Better::less, Scatter::factors},
    {Metric::latency_p999_ms, "latency_ms", "p999", Better::less, Scatter::factors},
    {Metric::latency_max_ms, "latency_ms", "max", Better::less, Scatter::factors},
    // User and system time of every task in the server's process tree.
    {Metric::server_cpu_us_per_reply, "", "server_cpu_us_per_reply", Better::less, Scatter::factors},
    // Voluntary and not, of every task in the server's process tree.
    {Metric::context_switches_per_s, "", "context_switches_per_s", Better::neither, Scatter::factors},
    // Between user-level threads, as the server counts them.
    {Metric::user_switches_per_s, "", "user_switches_per_s", Better::neither, Scatter::factors},
    // Of the server's processors, 0 to 1.
    {Metric::cpu_idle_share, "", "cpu_idle_share", Better::neither, Scatter::amounts},
    {Metric::cpu_iowait_share, "", "cpu_iowait_share", Better::neither, Scatter::amounts},
    // Of the server's process tree: how many tasks waited for a disk at once, in the mean over time.
    {Metric::disk_waiting_tasks, "", "disk_waiting_tasks", Better::neither, Scatter::amounts},
    // Requests that a slow disk had nothing to read for, 0 to 1.
    {Metric::cache_hit_share, "", "cache_hit_share", Better::neither, Scatter::amounts},
    // Proportional set size of the server's process tree.
    {Metric::memory_bytes, "", "memory_bytes", Better::less, Scatter::factors},
    // Of the machine, files only.
    {Metric::page_cache_bytes, "", "page_cache_bytes", Better::neither, Scatter::factors},
    // Replies/s over those of the ceiling program just before and after.
    {Metric::relative_to_ceiling, "", "relative_to_ceiling", Better::more, Scatter::factors},
    // Server CPU time per reply over the ceiling program's.
    {Metric::cpu_relative_to_ceiling, "", "cpu_relative_to_ceiling", Better::less, Scatter::factors},
    // Share of the requests that failed or took too long.
    {Metric::sla_violations, "", "sla_violations", Better::less, Scatter::amounts},
    // These follow from others: derive_figures().
    // Of 100,000 requests at the measured rate.
    {Metric::execution_time_s, "", "execution_time_s", Better::less, Scatter::factors},
    // Mean response time less the server's CPU time per reply.
    {Metric::waiting_ms, "", "waiting_ms", Better::less, Scatter::factors},
    // Of the server's processors, 0 to 1.
    {Metric::cpu_utilisation, "", "cpu_utilisation", Better::neither, Scatter::amounts},
    // Per second of the server's CPU time.
    {Metric::replies_per_cpu_s, "", "replies_per_cpu_s", Better::more, Scatter::factors},
    // Per million bytes of the server's memory.
    {Metric::replies_per_s_per_mb, "", "replies_per_s_per_mb", Better::more, Scatter::factors},
}};

// "latency_ms.p99", "errors": as it stands in the JSON. Null for any other word.
const MetricName* find_metric(std::string_view path);
const MetricName& name_of(Metric metric);
std::string path_of(const MetricName& metric);

// The figures of one trial; empty: not available.
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
  // Latency over all replies of all trials that count, from their merged histograms: it describes these trials, and has
  // no interval. Empty for other figures.
  Figures pooled;
  const Figure& operator[](Metric metric) const { return figures[static_cast<std::size_t>(metric)]; }
  Figure& operator[](Metric metric) { return figures[static_cast<std::size_t>(metric)]; }
};

struct Cell {
  std::string id;      // "symped/connections=1024/workers=4"
  std::string server;  // as the tables call it
  std::string architecture;
  std::string variant;  // the part of the id that further axes make, "rate=500/poller=select"; mostly empty
  std::map<std::string, std::string> options;  // as given to the server
  std::string workload;
  std::map<std::string, std::string> workload_set;  // what an axis sets in it, {"size_bytes", "1KB"}; mostly empty
  std::string load_model = "closed";                // or "open", "partly-open"
  std::optional<double> rate;     // requests (partly open: sessions) a second; empty: as fast as replies come
  bool bodies_discarded = false;  // by the client, in the kernel: flatters a server on the same machine
  std::uint32_t connections = 0;
  std::uint32_t workers = 0;
};

// sweep: to find each server's best cell. final: that cell again with fresh trials, because the maximum of a sweep is
// biased upwards.
enum class Phase { sweep, final };
const char* to_string(Phase phase);

// The warm-up that all servers of a contest had, and which of them decided it.
struct WarmUp {
  std::string contest;
  double seconds = 0;
  std::string slowest;                 // the server that took longest to settle; empty: no pilot was run
  std::vector<std::string> unsettled;  // servers that did not settle within the bound: their figures stand
};

// Where a trial stands in the plan. Trials of one block are run in random order.
struct TrialKey {
  Phase phase = Phase::sweep;
  std::uint32_t block = 0;
  std::string cell_id;
  auto operator<=>(const TrialKey&) const = default;
};

// A trial is void when something outside of the two programs spoiled it: the ceiling program's speed changed from
// before to after it, another process took a processor, the harness failed. The trial's own figures do not decide that;
// a void trial is repeated. Everything that the server or the client did is an outcome, and no outcome is dropped.
struct Trial {
  TrialKey key;
  std::uint32_t attempt = 0;             // 1, 2 ...: repeated because the attempt before was void
  std::string started;                   // UTC, ISO 8601
  std::vector<std::string> void_causes;  // empty: the trial is not void
  std::vector<std::string>
      failures;                      // the server died or did not start, the client failed: none is tolerated in a cell
  std::vector<std::string> remarks;  // other things that a reader should know of this trial
  // What the client counted and how busy both sides were; empty when the client had nothing to report.
  std::optional<LoadCounts> counts;
  bool counted = false;  // the summary of its cell includes it; set by summarise()
  // Replies/s of the ceiling program just before and after; empty when it was not run.
  std::optional<double> ceiling_before;
  std::optional<double> ceiling_after;
  // Throughput in the second half of the measured time over that in the first, as a logarithm; empty: not known.
  std::optional<double> drift;
  std::optional<double> measured_s;  // of a stored trial, which has no counts
  Figures figures;
  nlohmann::json evidence;  // what the load generator and the server reported, as it came; only in trials.jsonl
};

struct CellResult {
  Cell cell;
  std::vector<Trial> trials;  // all of them, in the order they were run
  bool valid = false;
  std::vector<std::string> reasons;  // why it is not valid, or what a reader should know
  std::uint32_t void_trials = 0;     // attempts that were void
  bool is_final = false;             // the summary is over the fresh trials alone
  Summary summary;
};

struct Best {
  std::string server;
  std::string cell_id;
  std::string contest;          // contest_of() its cell
  std::uint32_t rank_from = 0;  // the ranks that the comparisons by pairs leave open
  std::uint32_t rank_to = 0;
  // The ranking figure over that of the first of its contest, by pairs within blocks. The intervals of all servers of a
  // contest hold together with 95 % confidence. Empty for the first itself.
  Figure of_first;
};

// The highest rate that a cell of the matrix sustains: in half of the trials at that rate.
struct Peak {
  std::string cell_id;          // of the matrix: without a rate
  std::uint32_t answers = 0;    // that it rests on: trials of which each says whether its rate was sustained
  std::optional<double> rate;   // requests a second; empty: not even the least that is tried
  std::optional<double> lower;  // an interval that holds it with 95 % probability; empty: may lie beyond what is tried
  std::optional<double> upper;
  bool within_tolerance = false;             // the interval is as narrow as was asked for
  std::string measured_cell, overload_cell;  // with fresh trials at the peak and at twice its rate; empty: not measured
};

struct ExperimentResult {
  std::string name;
  std::string spec_sha256;
  bool complete = true;                // every planned trial was run
  std::vector<Metric> also_ranked_by;  // further rankings of the same trials
  double turn_s = 0;                   // of [trials] turn; 0: trials ran one after another
  Metric ranked_by = Metric::throughput_mbps;
  std::vector<WarmUp> warm_ups;
  nlohmann::json environment;
  std::vector<CellResult> cells;
  std::vector<Best> best;   // contest by contest, best first; servers without a valid cell are missing
  std::vector<Peak> peaks;  // of a search for peaks, one a cell of the matrix
};

// Cells compete when they ask for the same files at the same rate: "size_bytes=1KB/rate=500", or empty when neither
// varies. Otherwise large files would always win against small ones, and at a fixed rate all keep up or fail.
std::string contest_of(const Cell& cell);
// As in cell ids and on the load generator's command line: "500", "1000.5".
std::string rate_text(double rate);
std::vector<std::string> contests(const std::vector<CellResult>& cells);

nlohmann::json to_json(const ExperimentResult& result);
// UsageError when it is not a result, or of a newer version.
ExperimentResult result_from_json(const nlohmann::json& json);

nlohmann::json to_json(const WarmUp& warm_up);
WarmUp warm_up_from_json(const nlohmann::json& json);  // throws nlohmann's exceptions for anything else

// The measured time of a trial, as its client counted it or as it was stored; empty: it has none.
std::optional<double> measured_s_of(const Trial& trial);

// One line of trials.jsonl.
nlohmann::json to_json(const Trial& trial);
Trial trial_from_json(const nlohmann::json& json);

}  // namespace bakeoff
