// What an experiment is to do, as its TOML file says; harness/experiments/README.md explains every key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/plan/hosts.h"
#include "harness/plan/inputs.h"
#include "results/model.h"
#include "results/validity.h"

namespace bakeoff {

// What the page cache holds of the files when a trial begins.
enum class PageCache {
  warm,   // every file is in memory
  cold,   // none is
  as_is,  // whatever the trial before left
};
const char* to_string(PageCache state);

// Options as one types them after --, each with the values it takes in turn.
using OptionAxes = std::vector<std::pair<std::string, std::vector<std::string>>>;

struct ServerSpec {
  std::string name;          // in tables and cell ids
  std::string architecture;  // the binary, or the outside server
  bool outside = false;
  std::string definition;            // of an outside server: what load_outside() takes
  std::vector<std::string> workers;  // numbers, or "connections": as many as the load has
  std::vector<std::uint32_t> connections;
  std::vector<double> rates;  // requests or sessions a second; empty: as fast as replies come
  OptionAxes options;         // common ones and a preset's included
  std::string where;          // file:line:column, for messages
};

// Cells that are taken out of the matrix or added to it. Empty lists stand for all.
struct CellFilter {
  std::vector<std::string> servers;
  std::vector<std::uint32_t> connections;
  std::vector<std::string> workers;
  std::vector<double> rates;
  OptionAxes options;
  OptionAxes workload;  // keys of [workload] set
};

// The disk under the files and the memory that caches it: [disk].
struct DiskSpec {
  std::string model;                         // of bakeoff-slowdisk: a name or a path; empty: the machine's own disk
  std::vector<std::string> model_overrides;  // "key=value"
  std::uint64_t cache_bytes = 0;             // of that disk's files in memory; 0: all
  std::uint64_t memory_bytes = 0;            // of the server, its page cache included, by a cgroup; 0: no bound
  std::uint64_t reads_per_s = 0;             // of the server from the machine's own disk, by a cgroup; 0: no bound
  std::uint64_t read_bytes_per_s = 0;
};

// What the clients do under `bakeoff trace` in place of [load]: each asks for a file of its own that is in memory, and
// again when it has thought; some ask once for a file that is not. [trace].
struct TraceScene {
  std::uint32_t requests = 16;           // of each client
  double think_s = 0.001;                // between a reply and the next request
  std::vector<std::uint32_t> absentees;  // clients, from 1, that ask once for a file that is not in memory
};

// Of the search for the highest rate that is sustained (run/peak_search.h): [peak].
struct PeakLimits {
  double start = 1000;         // requests a second, tried first
  double most = 10'000'000;    // never tried beyond
  double least = 1;            // nor below
  double tolerance = 0.05;     // the interval's width over its lower end, at which the search ends ...
  std::uint32_t answers = 40;  // ... or after so many answers
};

// [network]: the network that server, client and ceiling talk over.
struct NetworkSpec {
  std::optional<bool> own;           // empty: of the run's own where it is available
  std::optional<std::uint32_t> mtu;  // of its loopback interface, in bytes; empty: the kernel's default of 65,536
  bool offloads = true;              // false: the kernel cuts segments itself, as without a network adapter's help
};

struct Specification {
  std::string name;  // of the file, without .toml
  std::string file;  // its path, for messages
  std::string title;
  std::string about;
  std::string reference;  // what a paper published, to lay the result beside: a name in results/reference; mostly empty
  std::string source_text;
  std::string scale;                // the one that was chosen; empty: as the file's own tables say
  std::vector<std::string> scales;  // those there are
  std::string sha256;               // of the text and the scale

  std::vector<Input> inputs;  // all files that it names

  std::string workload;                         // what load_workload() takes: a name or a path
  std::vector<std::string> workload_overrides;  // "key=value"
  OptionAxes workload_axes;                     // keys with several values: each asks for files of its own
  bool keeps_log_times = false;                 // the workload is a log that is replayed at its own times

  std::string load_model = "closed";  // or "open": requests by a schedule, "partly-open": sessions
  double warmup_s = 0.5;              // at least, for every server; how long it is, a pilot finds out
  double longest_warmup_s = 2;        // at most
  double duration_s = 2;
  double timeout_s = 15;  // of a request
  std::uint32_t client_threads = 1;
  bool discard_bodies = false;  // the client drops them in the kernel: flatters a server that shares its machine

  std::uint32_t sweep_trials = 1;   // of every cell
  std::uint32_t final_trials = 12;  // fresh ones of each server's best cell
  std::uint64_t seed = 1;
  std::uint32_t repeats = 3;        // at most, of a void trial
  double repeat_share = 0.5;        // at most, of all planned trials together
  double turn_s = 0;                // servers of a block take turns of that length (run/turns.h); 0: one after another
  double ceiling_s = 0.3;           // each reading; 0: none. In turns the ceiling is read as long as a server
  double ceiling_difference = 0.1;  // between the two, above which a trial is void
  double others = 0.2;              // of the processors' time that other processes may take in a trial, else it is void
  double drift = 0.1;               // of throughput within the measured time, above which a server has not settled
  std::optional<PageCache>
      page_cache;        // before each trial; empty: warm where the files fit into half of the memory, else cold
  bool profile = false;  // perf's breakdown of each trial's server, under a load of its own

  ValidityLimits validity;
  std::vector<std::pair<Metric, double>> slo;  // latency that a cell may have at most over all replies, in ms
  std::optional<Metric> rank_by;               // empty: ranking_metric() chooses
  std::vector<Metric> also_rank_by;            // further rankings of the same trials
  PeakLimits peak;

  std::optional<DiskSpec> disk;
  std::optional<TraceScene> scene;  // of bakeoff trace; empty: it traces under the load of [load]
  int trace_events = 0;             // bakeoff trace: that each lane keeps; 0: nothing is recorded
  NetworkSpec network;
  HostsSpec hosts;

  std::vector<int> server_processors;  // empty: chosen by place() (machine/topology.h), so many of them:
  std::vector<int> client_processors;
  std::uint32_t server_processor_count = 0;  // 0: one
  std::uint32_t client_processor_count = 0;  // 0: one a thread of the load generator, as far as there are

  std::vector<ServerSpec> servers;
  std::vector<CellFilter> exclude;
  std::vector<CellFilter> include;

  const ServerSpec& server(const std::string& its_name) const;  // REQUIRES: there is one of that name
};

// The figure by which servers are ranked: as the specification says, else CPU time per reply where the rate is fixed
// (all that keep up have the same throughput), the share of the ceiling where that is read, and throughput.
Metric ranking_metric(const Specification& spec);

inline bool has_slow_disk(const Specification& spec) { return spec.disk && !spec.disk->model.empty(); }

// Of the workload: "specweb99", or the stem of its file.
std::string workload_name(const Specification& spec);

// "key=value" of a key that is an axis of the workload, for load_workload(): a path is what it means here.
std::string workload_override(const Specification& spec, const std::string& key, const std::string& value);

// A shipped experiment by its name, or any TOML file by its path (anything with a slash or ending in .toml). UsageError
// for an unknown name (lists those there are) and for any error in the file. BLOCKS: disk. `scale`: one of its
// [scale.NAME] tables, merged into the others; empty: none.
Specification load_specification(const std::string& name_or_path, const std::string& scale = "");
Specification parse_specification(const std::string& text, const std::string& file_name, const std::string& scale = "");

struct ExperimentInfo {
  std::string name;
  std::string title;
};
std::vector<ExperimentInfo> list_experiments();
std::filesystem::path experiments_dir();

}  // namespace bakeoff
