// The rings of one program, in memory that its processes share and others read: a server's, the load generator's, the
// slow disk's. What a process recorded before it was killed stays readable.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/sharing/visible_memory.h"
#include "core/trace/ring.h"

namespace bakeoff {

class TraceRegion {
 public:
  // Contexts of execution beyond that are not recorded.
  static constexpr std::uint32_t most_lanes = 4096;
  static constexpr int most_events = 1'000'000;  // of one ring

  // Of this process and those that it forks. `events`: that each ring keeps, 1 to most_events. Throws StartError.
  explicit TraceRegion(int events);
  // Of a running program, to read, also after its end. Throws UsageError when it is none, does not record, may not be
  // looked at, or is of another build.
  static TraceRegion of_process(pid_t pid);

  // A ring for one more context; nullptr when there are too many.
  TraceRing* claim();
  int events() const { return static_cast<int>(header_->events); }
  // Numbers of connections, from 1, unique within the program.
  std::uint32_t next_connection() { return header_->connections.fetch_add(1, std::memory_order_relaxed) + 1; }

  // All that have recorded, in the order in which they began.
  std::vector<TraceLane> read() const;
  // Contexts that found no ring.
  std::uint32_t unrecorded() const;

 private:
  struct alignas(4096) Header {
    char magic[24];
    std::uint64_t events;
    std::atomic<std::uint32_t> claimed;
    std::atomic<std::uint32_t> connections;
  };
  // Why `claimed` and `connections` need no lock: an addition gives each caller a number of its own, and nothing else
  // depends on them. A reader that sees a number before its ring has begun finds zeros there, and passes over it.
  explicit TraceRegion(VisibleMemory memory);
  TraceRing* ring(std::uint32_t number) const;

  VisibleMemory memory_;
  Header* header_;
};

}  // namespace bakeoff
