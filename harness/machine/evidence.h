// What both sides of a trial used and what the kernel did meanwhile, from /proc: the figures that say why a server is as
// fast as it is. Each has an `unavailable` state of its own: null, with the cause under "unavailable".
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

// Since the processes began, in seconds and counts; empty: the kernel does not tell.
struct SideUse {
  SteadyTime at{};
  double cpu_s = 0;                       // of schedstat: nanoseconds, not ticks
  double run_queue_s = 0;                 // ready to run, and waiting for a processor
  std::optional<double> user_s, system_s; // of ticks: right only where there are many
  std::optional<double> disk_wait_s;      // of delay accounting; clock ticks, counted in nanoseconds
  std::uint64_t voluntary_switches = 0, involuntary_switches = 0;
  std::optional<std::uint64_t> resident_bytes;      // RSS: shared pages once in each process
  std::optional<std::uint64_t> proportional_bytes;  // PSS
  std::optional<std::uint64_t> descriptors;         // open ones of all processes
  std::map<std::string, double> processors_s;       // user, nice, system, idle, iowait, irq, softirq, steal
  std::optional<double> stalled_on_disk_s;          // of the machine: PSI's "some"
};

// One side: a process group and the processors that it has (none: all).
class SideProbe {
 public:
  SideProbe(pid_t group, std::vector<int> processors) : group_(group), processors_(std::move(processors)) {}
  // `memory`: also what it occupies, which costs the kernel a walk through its page tables. BLOCKS: disk (/proc)
  SideUse sample(bool memory = false);
  std::vector<pid_t> processes() const;

 private:
  struct Task {
    double cpu_s = 0, run_queue_s = 0, user_s = 0, system_s = 0, disk_wait_s = 0;
    std::uint64_t voluntary = 0, involuntary = 0;
  };
  pid_t group_;
  std::vector<int> processors_;
  std::map<pid_t, Task> seen_;  // a task that has ended keeps what it was last seen with
};

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
// Whether a port in TIME_WAIT can be had again for a connection over loopback (net.ipv4.tcp_tw_reuse).
bool reuses_ports();

// Whether the bytes sent in each of some equal spans of time have come to a level: the first half against the second, with a
// margin. Empty below six spans, or when nothing was sent: it cannot be told.
std::optional<bool> has_settled(const std::vector<double>& spans, double margin);

// Bytes that this machine's TCP/IP has sent so far; empty when the kernel does not tell.
std::optional<double> bytes_sent();

}  // namespace bakeoff
