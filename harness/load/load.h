// A run of the load generator: its specification, its threads and phases, and what came out of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/load/client.h"
#include "harness/load/recorder.h"
#include "harness/load/source.h"
#include "harness/load/url.h"
#include "workloads/workload.h"

namespace bakeoff {

struct LoadSpec {
  std::string url_text;
  Url url;
  std::optional<Workload> workload;  // without one, the URL names the one file to ask for
  std::uint64_t seed = 1;
  std::uint32_t connections = 64;
  std::uint32_t threads = 1;
  std::int64_t duration_ns = 10'000'000'000;
  std::int64_t warmup_ns = 1'000'000'000;
  std::int64_t timeout_ns = 15'000'000'000;
  std::int64_t connect_timeout_ns = 15'000'000'000;
  std::uint32_t requests_per_connection = 0;              // 0: as many as the server allows
  std::int64_t expected_bytes = Request::any_length;      // of each reply, where no workload says it
  bool same_length = true;                                // else replies of unknown length may differ
  std::uint32_t verify_every = 100;
  bool discard = false;
  std::uint32_t source_addresses = 0;                     // 0: as many as it takes
};

struct LoadResult {
  Recorder recorder;                        // merged over threads
  std::vector<std::int64_t> class_sizes_bytes;
  std::vector<double> thread_cpu_s;         // in the window
  double duration_s = 0;                    // of the window, as it was
  std::uint32_t source_addresses = 1;
  bool interrupted = false;
};

// BLOCKS: network, for the whole run. `stop`, once set, ends it early: what was measured until then stands.
// UsageError for what cannot be; StartError when no connection could be opened at all, or the descriptors do not suffice.
LoadResult run_load(const LoadSpec& spec, const std::atomic<bool>& stop);

}  // namespace bakeoff
