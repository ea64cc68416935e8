// What on this machine will spoil a comparison, and what mends it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/machine/topology.h"

namespace bakeoff {

// What was found out about the machine. Empty: could not be found out.
struct Machine {
  std::uint32_t processors = 0;           // that this process may use
  Placement placement;                    // that a run would have without [resources]
  std::optional<double> busy_processors;  // kept busy by others just now, in whole processors
  std::optional<double> stolen_share;     // of the time, by other guests of the host, as far as the host tells
  // Of a program that only looks at the clock, on every processor at once: the share of the time for which it did not
  // run, a millisecond or more at a stretch, and the longest stretch. The worst of the processors.
  std::optional<double> away_share;
  double longest_away_ms = 0;
  std::optional<double> processor_quota;  // of a control group, in whole processors
  std::optional<std::string> governor;
  std::optional<std::string> clock_source;
  std::optional<std::uint64_t> open_files;  // the hard limit of a process
  std::optional<std::uint64_t> free_memory_bytes;
  std::optional<std::uint64_t> swapped_bytes;
  std::map<std::string, std::string> sysctls;  // those that exist, by their dotted names
  std::uint64_t waiting_sockets = 0;           // in TIME_WAIT
  bool has_perf = false;
  bool has_fuse_device = false;
  bool has_fusermount = false;
  bool has_pressure_information = false;           // /proc/pressure
  std::string network_obstacle;                    // why a run can have no network of its own; empty: it can
  std::vector<std::string> misleading_interfaces;  // that MPI may choose, and that reach no other host
  std::vector<std::string> missing_packages;       // of outside servers
  std::vector<std::string> proactive_reclaim;      // the files that switch it on
};

enum class Severity {
  fine,
  limits,  // something cannot be measured, or not as far
  spoils,  // comparisons will be wrong, or come to no verdict
};

struct Finding {
  Severity severity = Severity::fine;
  std::string what;
  std::string mend;  // the command, or what to do; empty when all is well
};

// The processors that control groups allow, the least of all levels, of both versions; empty: no level has a quota.
// `membership`: as /proc/self/cgroup has it. BLOCKS: disk (/sys)
std::optional<double> processor_quota(const std::string& membership,
                                      const std::filesystem::path& mount = "/sys/fs/cgroup");

// Takes two seconds: in the first it watches the processors, in the second it uses them. BLOCKS: disk (/proc).
Machine examine_machine();

// In the order in which they matter to a reader.
std::vector<Finding> diagnose(const Machine& machine);

}  // namespace bakeoff
