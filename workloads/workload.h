// A workload: which files there are, which of them is asked for next, and what a client of it is like. A named workload
// is a TOML file; workloads/README.md says where each one's numbers come from.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "workloads/distribution.h"
#include "workloads/file_set.h"

namespace bakeoff {

// A group of files that reports keep apart, by size: the papers' validity rule looks at each file size on its own.
struct FileClass {
  std::string name;              // "class0_3" in specweb99
  std::uint64_t size_bytes = 0;  // of its files, or the mean of them
  double share = 0;              // of all requests, 0 to 1
};

// How the requests of a workload are distributed over its files, or their order where it is given (a trace).
// Immutable but for the trace's cursor; shared by all sources.
class Popularity {
 public:
  // Weights need not add up to anything; at least one is positive.
  static std::shared_ptr<const Popularity> weighted(const std::vector<double>& weights);
  // The order of a trace; the cursor is shared by all sources, so that the order holds over all connections.
  static std::shared_ptr<const Popularity> in_order(std::vector<std::uint32_t> files, std::uint32_t file_count);

  std::uint32_t draw(Random& random) const {
    if (slots_.empty()) return next_in_order();
    // Vose's alias method: one random number, one slot, one comparison.
    const std::uint64_t bits = random.next();
    const std::uint64_t slot = ((bits >> 32) * slots_.size()) >> 32;
    return static_cast<std::uint32_t>(bits) < slots_[slot].threshold ? static_cast<std::uint32_t>(slot)
                                                                     : slots_[slot].alias;
  }

  const std::vector<std::uint32_t>& order() const { return order_; }  // a trace's files; empty where they are drawn
  double share(std::uint32_t file) const { return shares_[file]; }    // of all requests, 0 to 1

 private:
  struct Slot {
    std::uint32_t threshold;
    std::uint32_t alias;
  };
  std::uint32_t next_in_order() const;

  std::vector<Slot> slots_;
  std::vector<double> shares_;
  std::vector<std::uint32_t> order_;
  mutable std::atomic<std::uint64_t> cursor_{0};
};

// Draws the file of each next request. Cheap to make and to hold (16 bytes): one a connection, or one a thread.
// Valid as long as any copy of its workload lives.
class RequestSource {
 public:
  RequestSource(const Popularity& popularity, Random random) : popularity_(&popularity), random_(random) {}
  std::uint32_t next() { return popularity_->draw(random_); }  // an index into Workload::files
  Random& random() { return random_; }                         // for the load model's own draws on the same stream

 private:
  const Popularity* popularity_;
  Random random_;
};

// What the clients of a workload are like: the [load] table. Defaults for the load generator, whose options win
// over them.
struct ClientModel {
  std::optional<std::uint32_t> requests_per_connection;  // then it is closed and a new one opened; 1: no keep-alive
  std::optional<Distribution> requests_per_session;      // rounded, at least 1
  std::optional<Distribution> requests_per_burst;        // rounded, at least 1: a page and what is embedded in it
  std::optional<Distribution> inactive_off_s;            // between bursts: the user thinks
  std::optional<Distribution> active_off_s;              // between the requests of a burst: the browser works
  std::optional<std::uint64_t> reader_bytes_per_s;       // each connection reads no faster (WAN clients)
  std::optional<std::uint32_t> receive_buffer_bytes;     // SO_RCVBUF of a client's socket
};

// What became of a trace's log: how much of it is asked for, and what is not.
struct LogSummary {
  std::string file;
  std::uint64_t lines = 0;
  std::uint64_t requests = 0;        // asked for, each from a line
  std::uint64_t broken = 0;          // lines that are no access log's
  std::uint64_t other_methods = 0;   // lines of other methods than GET
  std::uint64_t other_statuses = 0;  // lines of GETs that were not answered with 200
  std::uint64_t out_of_order = 0;    // lines that are earlier than one before them; counted where times are kept
  bool cut_short = false;            // the compressed data ends in the middle
  double length_s = 0;               // from the first to the last request at the log's own speed; where times are kept
  double speed = 1;                  // how many times faster it is replayed
};

struct Workload {
  std::string name;
  std::string kind;         // "specweb99", "single-file" ...
  std::string description;  // one line
  FileSet files;
  std::vector<FileClass> classes;
  std::shared_ptr<const Popularity> popularity;
  ClientModel clients;
  // When each request of a trace came, in seconds from the first, in the order of the popularity's; empty when the
  // workload has no times of its own. Shared because it is as long as the trace.
  std::shared_ptr<const std::vector<double>> arrivals_s;
  std::optional<LogSummary> log;   // of a trace
  std::vector<std::string> sweep;  // the overrides ("size_bytes=1KB") of the runs that make up the papers' figure
  std::vector<std::string> notes;  // what a person should know about how it was read: sentences, for stderr and results

  double mean_transfer_bytes() const;  // of the bodies, over requests

  // An independent stream of requests: the same seed and stream give the same requests.
  RequestSource source(std::uint64_t seed, std::uint64_t stream) const {
    return RequestSource(*popularity, Random(seed, stream));
  }
};

// A shipped workload by its name, or any TOML file by its path (anything with a slash or ending in .toml). `overrides`
// are "key=value" for the keys of the file ("directories=20"). UsageError for an unknown name (lists those there are)
// and for any error in the file. BLOCKS: disk.
Workload load_workload(std::string_view name_or_path, const std::vector<std::string>& overrides = {});

// Whether the values of a workload's key of that name are paths.
bool is_path_key(std::string_view key);
std::filesystem::path workloads_dir();  // of shipped ones

struct WorkloadInfo {
  std::string name;
  std::string kind;
  std::string description;
};
// The shipped workloads, by name. BLOCKS: disk.
std::vector<WorkloadInfo> list_workloads();

}  // namespace bakeoff
