// What a server's processes used, from /proc. A server is a process group: the harness makes one for each child.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/processes/reactor.h"

namespace bakeoff {

struct TaskUse {
  std::uint64_t cpu_ns = 0;  // from schedstat: /proc/PID/stat counts clock ticks, and many short bursts come to none
  std::uint64_t voluntary_switches = 0;
  std::uint64_t involuntary_switches = 0;
};

struct GroupUse {
  SteadyTime at{};
  TaskUse total;
  std::uint32_t processes = 0;
  std::uint32_t tasks = 0;
};

class GroupProbe {
 public:
  explicit GroupProbe(pid_t group) : group_(group) {}

  // Sums over all tasks met so far: one that has ended since keeps what it was last seen with. BLOCKS: disk (/proc).
  GroupUse sample();
  // Proportional set size; empty when it cannot be read.
  std::optional<std::uint64_t> memory_bytes() const;

 private:
  std::vector<pid_t> members() const;

  pid_t group_;
  std::map<pid_t, TaskUse> seen_;
};

// Whether the kernel counts how long tasks wait for disks (kernel.task_delayacct), FUSE file systems included.
bool delays_are_accounted();

// Has it count for as long as this lives, where that is allowed. Tasks that were there before are not counted.
class DelayAccounting {
 public:
  DelayAccounting();
  ~DelayAccounting();
  DelayAccounting(const DelayAccounting&) = delete;
  DelayAccounting& operator=(const DelayAccounting&) = delete;

 private:
  bool switched_on_;
};

// Of some processors since boot, in seconds each.
struct ProcessorTimes {
  double total_s = 0;
  double idle_s = 0;
  double iowait_s = 0;
};
// `processors` empty: all of them. Empty when /proc/stat cannot be read.
std::optional<ProcessorTimes> processor_times(const std::vector<int>& processors);

// File pages that the machine holds in memory; empty when it cannot be read.
std::optional<std::uint64_t> page_cache_bytes();

// A whole small file; empty when it cannot be read.
std::optional<std::string> read_small_file(const std::string& path);

}  // namespace bakeoff
