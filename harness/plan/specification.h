// What an experiment is to do, as its TOML file says; harness/experiments/README.md explains every key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/ground/page_cache.h"
#include "harness/run/peak_search.h"
#include "results/model.h"
#include "results/validity.h"

namespace bakeoff {

// Options as one types them after --, each with the values it takes in turn.
using OptionAxes = std::vector<std::pair<std::string, std::vector<std::string>>>;

struct ServerSpec {
  std::string name;          // in tables and cell ids
  std::string architecture;  // the binary, or the outside server
  bool outside = false;
  std::vector<std::string> workers;       // numbers, or "connections": as many as the load has
  std::vector<std::uint32_t> connections;
  std::vector<double> rates;  // requests or sessions a second; empty: as fast as replies come
  OptionAxes options;        // common ones and a preset's included
  std::string where;         // file:line:column, for messages
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
  std::string model;                         // of bakeoff-slowdisk; empty: the machine's own disk
  std::vector<std::string> model_overrides;  // "key=value"
  std::uint64_t cache_bytes = 0;             // of that disk's files in memory; 0: all
  std::uint64_t memory_bytes = 0;            // of the server, its page cache included, by a cgroup; 0: no bound
  std::uint64_t reads_per_s = 0;             // of the server from the machine's own disk, by a cgroup; 0: no bound
  std::uint64_t read_bytes_per_s = 0;
};

struct Specification {
  std::string name;   // of the file, without .toml
  std::string file;   // its path, for messages
  std::string title;
  std::string about;
  std::string reference;  // what a paper published, to lay the result beside: a name in results/reference; mostly empty
  std::string source_text;
  std::string scale;                // the one that was chosen; empty: as the file's own tables say
  std::vector<std::string> scales;  // those there are
  std::string sha256;               // of the text and the scale

  std::string workload;
  std::vector<std::string> workload_overrides;  // "key=value"
  OptionAxes workload_axes;                     // keys with several values: each asks for files of its own

  std::string load_model = "closed";  // or "open": requests by a schedule, "partly-open": sessions
  double warmup_s = 0.5;
  double duration_s = 2;
  double timeout_s = 15;        // of a request
  std::uint32_t client_threads = 1;
  bool discard_bodies = false;  // the client drops them in the kernel: flatters a server that shares its machine

  std::uint32_t sweep_trials = 1;  // of every cell
  std::uint32_t final_trials = 5;  // fresh ones of each server's best cell
  std::uint64_t seed = 1;
  std::uint32_t repeats = 2;       // at most, of a trial during which the machine changed speed
  double repeat_share = 0.25;      // at most, of all planned trials together
  double ceiling_s = 0.3;          // each reading; 0: none
  double ceiling_difference = 0.1; // between the two, above which the machine changed speed
  double drift = 0.2;              // of throughput within the measured time, above which the warm-up was too short
  std::optional<PageCache> page_cache;  // before each trial; empty: warm where the files fit into half of the memory, else cold
  bool profile = false;            // perf's breakdown of each trial's server, under a load of its own

  ValidityLimits validity;
  std::vector<std::pair<Metric, double>> slo;  // latency that a trial may have at most, in ms
  PeakLimits peak;
  std::uint32_t peak_trials = 3;               // of each rate that the search for the peak tries

  std::optional<DiskSpec> disk;

  std::vector<int> server_processors;  // empty: chosen by placement()
  std::vector<int> client_processors;

  std::vector<ServerSpec> servers;
  std::vector<CellFilter> exclude;
  std::vector<CellFilter> include;
};

inline bool has_slow_disk(const Specification& spec) { return spec.disk && !spec.disk->model.empty(); }

// A shipped experiment by its name, or any TOML file by its path (anything with a slash or ending in .toml).
// UsageError for an unknown name (says which there are) and for whatever is wrong in the file. BLOCKS: disk.
// `scale`: one of its [scale.NAME] tables, laid over the others; empty: none.
Specification load_specification(const std::string& name_or_path, const std::string& scale = "");
Specification parse_specification(const std::string& text, const std::string& file_name, const std::string& scale = "");

struct ExperimentInfo {
  std::string name;
  std::string title;
};
std::vector<ExperimentInfo> list_experiments();
std::filesystem::path experiments_dir();

}  // namespace bakeoff
