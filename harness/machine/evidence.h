// What both sides of a trial used and what the kernel did meanwhile, from /proc: the figures that say why a server is
// as fast as it is. Each has an `unavailable` state of its own: null, with the cause under "unavailable".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/processes/reactor.h"

namespace bakeoff {

// By state since boot, in seconds: user, nice, system, idle, iowait, irq, softirq, steal.
using ProcessorSeconds = std::map<std::string, double>;

// Since the processes began, in seconds and counts; empty: the kernel does not tell.
struct SideUse {
  SteadyTime at{};
  std::uint32_t processes = 0, tasks = 0;
  double cpu_s = 0;                        // of schedstat: nanoseconds, not ticks
  double run_queue_s = 0;                  // ready to run, and waiting for a processor
  std::optional<double> user_s, system_s;  // of ticks: right only where there are many
  std::optional<double> disk_wait_s;       // of delay accounting; clock ticks, counted in nanoseconds
  std::uint64_t voluntary_switches = 0, involuntary_switches = 0;
  std::optional<std::uint64_t> resident_bytes;      // RSS: shared pages once in each process
  std::optional<std::uint64_t> proportional_bytes;  // PSS
  std::optional<std::uint64_t> descriptors;         // open ones of all processes
  ProcessorSeconds processors_s;                    // user, nice, system, idle, iowait, irq, softirq, steal
  std::optional<double> stalled_on_disk_s;          // of the machine: PSI's "some"
};

// One side: a process group and the processors that it has (none: all).
class SideProbe {
 public:
  SideProbe(pid_t group, std::vector<int> processors) : group_(group), processors_(std::move(processors)) {}
  // `memory`: also what it occupies, which costs the kernel a walk through its page tables. BLOCKS: disk (/proc)
  SideUse sample(bool memory = false);
  std::vector<pid_t> processes() const;
  ProcessorSeconds processors() const;  // of the side's processors; empty when that cannot be read

 private:
  struct Task {
    double cpu_s = 0, run_queue_s = 0, user_s = 0, system_s = 0, disk_wait_s = 0;
    std::uint64_t voluntary = 0, involuntary = 0;
  };
  pid_t group_;
  std::vector<int> processors_;
  std::map<pid_t, Task> seen_;  // a task that has ended keeps what it was last seen with
};

// Of the processors' time between two readings (SideProbe::processors) beside what the programs under measurement used:
// the time that others took, in seconds of one processor. `own_s`: CPU time of all that belongs to the measurement.
double taken_by_others_s(const ProcessorSeconds& from, const ProcessorSeconds& to, double own_s);

// CPU time so far of this process and all that it started, those that have ended included, and of the kernel's own
// threads, which work for those that are measured, in seconds. BLOCKS: disk (/proc)
double measurement_cpu_s();

// What happened between two samples, per second of that time.
nlohmann::json use_between(const SideUse& from, const SideUse& to);

// The kernel's TCP, of the whole machine: counters since boot, and the connections in TIME_WAIT now.
struct TcpCounters {
  std::map<std::string, std::uint64_t> counts;  // RetransSegs, ListenOverflows ...
  std::optional<std::uint64_t> time_wait;
};
TcpCounters read_tcp_counters();
// {"retransmits": 0, "listen_overflows": 0, ..., "time_wait": {"before": 3, "after": 5}}
nlohmann::json tcp_between(const TcpCounters& from, const TcpCounters& to);

// "A: 1 2" under "A: x y", as /proc/net/netstat and snmp are written.
void parse_counter_lines(const std::string& text, std::map<std::string, std::uint64_t>& counts);

// Ports that connections to one address can have (net.ipv4.ip_local_port_range).
std::uint64_t local_ports();
// Whether a port in TIME_WAIT can be used again for a connection over loopback (net.ipv4.tcp_tw_reuse).
bool reuses_ports();

// What was sent in the second half of some equal spans of time over the first, as a logarithm. Empty below six spans,
// or when one half has nothing.
std::optional<double> drift_of(const std::vector<double>& spans);

// Bytes that this machine's TCP/IP has sent so far; empty when the kernel does not tell.
std::optional<double> bytes_sent();

}  // namespace bakeoff
