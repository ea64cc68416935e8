// The counters of a server's workers, a page each, in memory that all its processes share and that others may read
// while it runs (bakeoff stats PID).
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "core/sharing/visible_memory.h"
#include "core/stats.h"

namespace bakeoff {

class StatsRegion {
 public:
  static constexpr int most_workers = 65536;

  // Of this process and those that it forks. Throws StartError.
  explicit StatsRegion(std::string_view server);
  // Of a running server, to read: the process may be any of the server's that shares its descriptors. Throws UsageError
  // when it is none, may not be looked at, or is of a build that counts otherwise.
  static StatsRegion of_process(pid_t pid);

  // REQUIRES: 0 <= number < most_workers, and the region is this process's own.
  WorkerStats& of_worker(int number);
  std::span<const WorkerStats> used() const;

  // {"event": "statistics", "server": NAME, "total": {...}, "workers": [{...}, ...]}
  nlohmann::ordered_json to_json() const;

 private:
  struct alignas(stats_page_bytes) Header {
    char magic[16];
    std::uint64_t layout;  // of the counters: their names and places
    char server[64];
    std::atomic<int> used;  // one past the highest worker that there was
  };
  static constexpr std::size_t size_bytes = sizeof(Header) + most_workers * sizeof(WorkerStats);
  explicit StatsRegion(VisibleMemory memory);

  VisibleMemory memory_;
  Header* header_;
};

}  // namespace bakeoff
