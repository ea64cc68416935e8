// Processes that left the process group which they were started in: daemons. Signals to the group do not reach them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace bakeoff {

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  std::uint64_t started = 0;  // clock ticks since boot
  std::string name;           // as the kernel has it, made printable

  bool operator==(const Process& other) const { return pid == other.pid && started == other.started; }
};

// All that /proc shows, without those that have ended and wait to be reaped.
std::vector<Process> all_processes();
// 0 when there is none.
std::uint64_t start_of(pid_t pid);

// Processes that left their leader's group: descendants of the leader, and orphans that this `adopter` adopted (it is
// their subreaper) since the leader started, with their descendants. `own_children`: processes that the adopter started
// itself, each the leader of a group.
std::vector<Process> outside_of_group(const std::vector<Process>& all, pid_t leader, std::uint64_t leader_started,
                                      pid_t adopter, const std::set<pid_t>& own_children);

}  // namespace bakeoff
