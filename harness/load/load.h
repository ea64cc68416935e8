// A run of the load generator: its specification, its workers and phases, and what came out of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/load/client.h"
#include "harness/load/clock_offset.h"
#include "harness/load/model.h"
#include "harness/load/recorder.h"
#include "harness/load/source.h"
#include "harness/load/url.h"
#include "workloads/workload.h"

namespace bakeoff {

class Ranks;
class RereadableLog;
struct RankResult;

enum class LoadModel : std::uint8_t {
  closed,    // each connection sends when its last reply is there, or some time after
  open,      // requests by a schedule, on whichever connection is free
  sessions,  // users by a schedule, or one after another on each connection, as the workload describes them
  log,       // httperf's session log
};
std::string_view name_of(LoadModel model);

struct LoadSpec {
  std::string url_text;
  Url url;
  std::optional<Workload> workload;  // without one, the URL names the one file to ask for
  std::vector<std::string> headers;  // "Name: value", of every request
  std::uint64_t seed = 1;
  std::vector<std::string> notes;  // what a person should know of how it came about: sentences, for the report

  LoadModel model = LoadModel::closed;
  std::uint32_t requests_per_connection = 0;  // closed and open (there 0 or 1); 0: as many as the server allows
  std::uint32_t pipeline = 1;                 // closed: requests that go together
  std::optional<Distribution> think_s;        // closed
  std::string rate_text;                      // as given, for the report
  std::optional<RateProfile> rate;            // of requests (open) or sessions, per second
  Arrivals arrivals = Arrivals::poisson;
  std::shared_ptr<const std::vector<double>> times_s;  // open, instead of a rate: a trace's own times
  std::shared_ptr<const RereadableLog> log;            // log
  double log_think_s = 0;
  std::uint64_t log_sessions = 0;

  std::uint32_t connections = 64;  // clients, each with at most one connection at a time
  std::uint32_t threads = 1;       // of execution, at least; each is a process, and more where descriptors do not reach
  std::int64_t duration_ns = 10'000'000'000;  // 0: until the log is done
  std::int64_t warmup_ns = 1'000'000'000;
  std::int64_t timeout_ns = 15'000'000'000;
  std::int64_t connect_timeout_ns = 15'000'000'000;
  bool timeout_by_phase = false;
  std::int64_t expected_bytes = ClientRequest::length_of_first;  // of each reply, where no workload says it
  std::uint32_t verify_every = 100;
  bool discard = false;
  std::uint64_t reader_bytes_per_s = 0;
  std::uint32_t receive_buffer_bytes = 0;
  std::uint32_t source_addresses = 0;  // 0: as many as it takes
  // After the measured time the connections stay open, unused, until *released or at most so long: the harness reads
  // the server's use meanwhile.
  std::int64_t hold_ns = 0;
  const std::atomic<bool>* released = nullptr;
  // Closed loops: the measured time is cut into so many turns, and the warm-up is one more before them. The n-th begins
  // when *turns_begun has come to n. 0: it is not cut.
  std::uint32_t turns = 0;
  const SharedWord* turns_begun = nullptr;
  int trace_events = 0;  // that each client keeps of what it asked and got, for bakeoff trace; 0: nothing is recorded
};

struct LoadResult {
  Recorder recorder{0, 0, false};               // merged over workers, and over ranks
  std::vector<std::int64_t> class_sizes_bytes;  // -1: not known
  std::vector<double> worker_cpu_s;             // in the window, without spin_s
  double spin_s = 0;  // all workers': processor time spent waiting for a schedule's next moment
  double user_s = 0;  // all workers' processor time in the window, spin_s included
  double system_s = 0;
  SessionCounts sessions;
  double duration_s = 0;  // of the window, as it was
  double opening_s = 0;   // until all connections were open
  std::uint32_t workers = 1;
  std::uint32_t source_addresses = 1;
  std::string address;  // of the server: the one of its host's that was used
  bool interrupted = false;
  std::int64_t late_ns = 0;       // from the agreed moment until the last worker had begun
  std::vector<RankResult> ranks;  // what each of several has to say; empty for one process

  nlohmann::ordered_json to_json() const;  // without `ranks`, to be merged in another process
  static LoadResult from_json(const nlohmann::ordered_json& json);
};

struct RankResult {
  std::string host;
  LoadResult result;
  std::uint32_t connections = 0;          // its share
  ClockOffset clock_before, clock_after;  // of its host, against rank 0's
  std::int64_t between_ns = 0;            // the two
};
// Between the first and the last rank to begin, by rank 0's clock; 0 for one process.
std::int64_t start_skew_ns(const LoadResult& result);

// Sums over the measured window so far.
struct LoadProgress {
  double elapsed_s;
  std::uint64_t replies;
  std::uint64_t received_bytes;
  std::uint64_t errors;
};

// When the measured time begins and ends, by CLOCK_MONOTONIC.
struct MeasuredTime {
  std::int64_t from_ns;
  std::int64_t to_ns;
};

struct LoadWatcher {
  std::function<void(const LoadProgress&)> progress;  // about once a second of the measured window
  std::function<void(const MeasuredTime&)> announce;  // once, when the connections are open and the warm-up begins
  std::function<void(std::uint32_t)> rests;           // in turns: so many are over; 0 when the connections are open
};

// UsageError for what cannot be, whatever the server. processes: that share the load.
void check_load(const LoadSpec& spec, std::uint32_t processes = 1);

// BLOCKS: network, for the whole run. It forks its workers; the calling process opens no connection. Setting `stop`
// ends it early and keeps what was measured. UsageError for an impossible load; StartError when no connection could be
// opened, or the limit on descriptors is too low. With `ranks` each of them has its share of the workers, and so of the
// connections, sessions, trace and schedule: which arrivals there are does not depend on their number. Rank 0 returns
// the results of all; the others' are of no use.
LoadResult run_load(const LoadSpec& spec, const std::atomic<bool>& stop, const LoadWatcher& watcher = {},
                    Ranks* ranks = nullptr);

}  // namespace bakeoff
