#include "harness/machine/doctor.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "harness/ground/interfaces.h"
#include "harness/ground/network.h"
#include "harness/machine/process_probe.h"
#include "harness/plan/outside.h"

namespace bakeoff {
namespace {

std::string text_of(double value) { return fmt::format("{:.2g}", value); }

std::optional<std::string> first_line(const std::string& file) {
  const auto text = read_small_file(file);
  if (!text) return std::nullopt;
  return text->substr(0, text->find('\n'));
}

std::optional<std::uint64_t> number(const std::string& text) {
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text.c_str(), &end, 10);
  return end == text.c_str() ? std::nullopt : std::optional(value);
}

// "MemAvailable:   123 kB" of /proc/meminfo.
std::optional<std::uint64_t> meminfo_bytes(const std::string& meminfo, const std::string& name) {
  const std::size_t at = meminfo.find(name + ":");
  if (at == std::string::npos) return std::nullopt;
  const auto kilobytes = number(meminfo.substr(meminfo.find_first_of("0123456789", at)));
  return kilobytes ? std::optional(*kilobytes * 1024) : std::nullopt;
}

struct ProcessorUse {
  double total = 0, busy = 0, stolen = 0;  // in clock ticks
};

std::optional<ProcessorUse> processor_use() {
  const auto line = first_line("/proc/stat");
  if (!line) return std::nullopt;
  std::istringstream in(*line);
  std::string label;
  in >> label;
  std::array<double, 8> ticks{};  // user nice system idle iowait irq softirq steal
  for (double& one : ticks) in >> one;
  ProcessorUse use;
  for (const double one : ticks) use.total += one;
  use.stolen = ticks[7];
  use.busy = use.total - ticks[3] - ticks[4] - ticks[7];
  return use;
}

struct Away {
  double total_s = 0, longest_s = 0;
};

// Looks at the clock for a second, on one processor.
Away watch_clock(int processor) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<std::size_t>(processor), &only);
  sched_setaffinity(0, sizeof only, &only);  // of this thread
  constexpr double stretch_s = 1e-3;         // the kernel's own interruptions are shorter
  Away away;
  const auto begin = std::chrono::steady_clock::now();
  for (auto last = begin; last - begin < std::chrono::seconds(1);) {
    const auto now = std::chrono::steady_clock::now();
    const double gap_s = std::chrono::duration<double>(now - last).count();
    if (gap_s >= stretch_s) {
      away.total_s += gap_s;
      away.longest_s = std::max(away.longest_s, gap_s);
    }
    last = now;
  }
  return away;
}

void watch_clocks(const cpu_set_t& allowed, Machine& machine) {
  std::vector<Away> found(CPU_SETSIZE);
  std::vector<std::thread> watchers;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(static_cast<std::size_t>(processor), &allowed))
      watchers.emplace_back(
          [&found, processor] { found[static_cast<std::size_t>(processor)] = watch_clock(processor); });
  }
  for (std::thread& watcher : watchers) watcher.join();
  machine.away_share = 0;
  for (const Away& one : found) {
    machine.away_share = std::max(*machine.away_share, one.total_s);
    machine.longest_away_ms = std::max(machine.longest_away_ms, one.longest_s * 1e3);
  }
}

bool is_in_path(const char* program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/bin:/bin:/usr/sbin:/sbin" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

bool has_word(const std::string& text, const std::string& wanted) {
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    if (word == wanted) return true;
  }
  return false;
}

// Of a group's folder, in processors; empty where it has no quota.
std::optional<double> quota_of(const std::filesystem::path& folder) {
  double quota = 0, period = 0;
  if (const auto line = first_line((folder / "cpu.max").string())) {  // "max 100000" or "150000 100000"
    std::istringstream in(*line);
    if (in >> quota >> period && quota > 0 && period > 0) return quota / period;
  }
  const auto quota_us = first_line((folder / "cpu.cfs_quota_us").string()),
             period_us = first_line((folder / "cpu.cfs_period_us").string());
  if (!quota_us || !period_us) return std::nullopt;
  quota = std::strtod(quota_us->c_str(), nullptr);  // -1: none
  period = std::strtod(period_us->c_str(), nullptr);
  return quota > 0 && period > 0 ? std::optional(quota / period) : std::nullopt;
}

}  // namespace

std::optional<double> processor_quota(const std::string& membership, const std::filesystem::path& mount) {
  std::optional<double> least;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {  // "0::/user.slice" or "3:cpu,cpuacct:/docker/1a2b"
    const std::size_t first = line.find(':'), second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::vector<std::filesystem::path> roots;
    if (controllers.empty()) {
      roots = {mount, mount / "unified"};
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      roots = {mount / controllers, mount / "cpu"};
    }
    for (const std::filesystem::path& root : roots) {
      // Every group above has its word. In a container the path may be that of the host: then only the root is there.
      for (std::filesystem::path group = std::filesystem::path(line.substr(second + 1)).relative_path();;
           group = group.parent_path()) {
        if (const auto quota = quota_of(root / group); quota && (!least || *quota < *least)) least = quota;
        if (group.empty()) break;
      }
    }
  }
  return least;
}

Machine examine_machine() {
  Machine machine;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  machine.processors = static_cast<std::uint32_t>(CPU_COUNT(&allowed));
  machine.placement = place(Specification());

  const auto before = processor_use();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const auto after = processor_use();
  if (before && after && after->total > before->total) {
    const double share = 1 / (after->total - before->total);
    machine.busy_processors = (after->busy - before->busy) * share * static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
    machine.stolen_share = (after->stolen - before->stolen) * share;
  }
  watch_clocks(allowed, machine);
  machine.processor_quota = processor_quota(read_small_file("/proc/self/cgroup").value_or(""));
  machine.governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  machine.clock_source = first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) machine.open_files = limit.rlim_max;
  if (const auto meminfo = read_small_file("/proc/meminfo")) {
    machine.free_memory_bytes = meminfo_bytes(*meminfo, "MemAvailable");
    const auto swap = meminfo_bytes(*meminfo, "SwapTotal"), unused = meminfo_bytes(*meminfo, "SwapFree");
    if (swap && unused) machine.swapped_bytes = *swap - *unused;
  }
  for (const char* name : {"net.core.somaxconn", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_tw_reuse",
                           "net.ipv4.tcp_available_congestion_control", "net.ipv4.tcp_max_syn_backlog",
                           "kernel.task_delayacct", "kernel.perf_event_paranoid", "vm.swappiness"}) {
    std::string path = name;
    std::replace(path.begin(), path.end(), '.', '/');
    if (const auto line = first_line("/proc/sys/" + path)) machine.sysctls[name] = *line;
  }
  if (const auto line = read_small_file("/proc/net/sockstat")) {
    if (const std::size_t at = line->find(" tw "); at != std::string::npos)
      machine.waiting_sockets = number(line->substr(at + 4)).value_or(0);
  }
  machine.has_perf = is_in_path("perf");
  machine.network_obstacle = Network::obstacle();
  machine.misleading_interfaces = misleading_interfaces(interface_addresses());
  machine.has_fuse_device = access("/dev/fuse", R_OK | W_OK) == 0;
  machine.has_fusermount = geteuid() == 0 || is_in_path("fusermount3");
  machine.has_pressure_information = access("/proc/pressure/io", R_OK) == 0;
  machine.missing_packages = missing_packages(list_outside());
  machine.proactive_reclaim = proactive_reclaim();
  return machine;
}

std::vector<Finding> diagnose(const Machine& machine) {
  std::vector<Finding> findings;
  const auto say = [&](Severity severity, std::string what, std::string mend = "") {
    findings.push_back({severity, std::move(what), std::move(mend)});
  };
  const auto setting = [&](const char* name) {
    const auto found = machine.sysctls.find(name);
    return found == machine.sysctls.end() ? std::nullopt : std::optional(found->second);
  };

  if (machine.placement.server_shares_core) {
    say(Severity::spoils, machine.placement.note,
        "run on a machine with more cores, or allow more processors: taskset -c 0,1 bakeoff ...");
  } else if (machine.placement.client_shares_core) {
    say(Severity::limits, machine.placement.note,
        "run on a machine with three cores or more; until then the client is slower by what the harness takes");
  } else {
    say(Severity::fine, machine.placement.note);
  }
  if (machine.busy_processors) {
    constexpr double quiet = 0.1;
    const std::string busy = "others keep " + text_of(*machine.busy_processors) + " processors busy";
    if (*machine.busy_processors > quiet) {
      say(Severity::spoils, busy, "see who: top -b -n 1 -o %CPU | head -15; wait for them, or stop them");
    } else {
      say(Severity::fine, busy);
    }
  }
  if (machine.stolen_share && *machine.stolen_share > 0.01) {
    say(Severity::spoils,
        "the host gives " + text_of(*machine.stolen_share * 100) + " % of the processors' time to other guests",
        "use dedicated processors, or another hour: compare with more --pairs");
  }
  if (machine.away_share) {
    constexpr double much = 0.005;
    const std::string away = "processors were away for " + text_of(*machine.away_share * 100) +
                             " % of a second, for up to " + text_of(machine.longest_away_ms) + " ms at a stretch";
    if (*machine.away_share > much) {
      say(Severity::spoils, away + ": taken by the host or by others, in rates and in latencies alike",
          "use dedicated processors, or another hour; judge by medians, and by many short trials");
    } else if (*machine.away_share > 0) {
      say(Severity::limits, away + ": percentiles beyond the 99th show this, not the servers",
          "use dedicated processors, or another hour");
    } else {
      say(Severity::fine, "processors are never away for a millisecond");
    }
  }
  if (machine.processor_quota && *machine.processor_quota < machine.processors) {
    say(Severity::spoils,
        "a control group allows " + text_of(*machine.processor_quota) + " processors of " +
            std::to_string(machine.processors) + ", and stops everything when they are used up",
        "raise cpu.max (version 1: cpu.cfs_quota_us) of the group or of one above it, or start the container without "
        "--cpus");
  }
  if (!machine.governor) {
    say(Severity::fine, "clock frequency: this machine cannot set it (virtual, or fixed)");
  } else if (*machine.governor != "performance") {
    say(Severity::spoils, "clock frequency follows the load (governor " + *machine.governor + ")",
        "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor");
  } else {
    say(Severity::fine, "governor performance");
  }
  if (machine.clock_source && *machine.clock_source != "tsc" && *machine.clock_source != "kvm-clock" &&
      *machine.clock_source != "arch_sys_counter") {
    say(Severity::spoils, "reading the clock is a slow system call (clock source " + *machine.clock_source + ")",
        "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource");
  }
  constexpr std::uint64_t wanted_files = 65'536;
  if (machine.open_files && *machine.open_files < wanted_files) {
    say(Severity::limits,
        "a process may have " + std::to_string(*machine.open_files) + " descriptors: that many connections less a few",
        "ulimit -Hn " + std::to_string(wanted_files) + " as root, then start bakeoff from that shell");
  } else if (machine.open_files) {
    say(Severity::fine, "descriptors for " + std::to_string(*machine.open_files) + " connections");
  }
  if (const auto backlog = setting("net.core.somaxconn"); backlog && number(*backlog).value_or(0) < 4096) {
    say(Severity::limits,
        "the accept queue holds " + *backlog + " connections: bursts of new ones wait a second for their second SYN",
        "sudo sysctl -w net.core.somaxconn=65535");
  }
  if (const auto range = setting("net.ipv4.ip_local_port_range")) {
    std::istringstream in(*range);
    std::uint64_t first = 0, last = 0;
    constexpr std::uint64_t wanted_ports = 25'000;
    if (in >> first >> last && last - first < wanted_ports) {
      say(Severity::limits, std::to_string(last - first + 1) + " local ports: that many connections from one address",
          "sudo sysctl -w net.ipv4.ip_local_port_range='10240 65535'");
    }
  }
  constexpr std::uint64_t many_sockets = 20'000;
  if (!machine.network_obstacle.empty() && machine.waiting_sockets > many_sockets) {
    say(Severity::spoils,
        std::to_string(machine.waiting_sockets) + " sockets in TIME_WAIT: connecting gets slow, and then fails",
        "wait a minute, or sudo sysctl -w net.ipv4.tcp_tw_reuse=1");
  }
  if (const auto congestion = setting("net.ipv4.tcp_available_congestion_control");
      congestion && !has_word(*congestion, "cubic")) {
    say(Severity::spoils,
        "congestion control cubic is not there, which the shipped experiments set for all servers (there is: " +
            *congestion + ")",
        "sudo modprobe tcp_cubic");
  }
  constexpr std::uint64_t wanted_memory = std::uint64_t{1} << 30;
  if (machine.free_memory_bytes && *machine.free_memory_bytes < wanted_memory) {
    say(Severity::spoils,
        std::to_string(*machine.free_memory_bytes >> 20) +
            " MiB of memory are free: file sets will not stay in the page cache",
        "free -h; stop what holds it");
  }
  if (!machine.proactive_reclaim.empty()) {
    const std::string& file = machine.proactive_reclaim.front();
    say(Severity::limits,
        "the kernel drops file pages that were not used for a while though memory is not short (DAMON): on a slow disk "
        "they are read again",
        "echo " + std::string(file.ends_with("state") ? "off" : "N") + " | sudo tee " + file);
  }
  constexpr std::uint64_t much_swapped = std::uint64_t{64} << 20;
  if (machine.swapped_bytes && *machine.swapped_bytes > much_swapped) {
    say(Severity::spoils,
        std::to_string(*machine.swapped_bytes >> 20) + " MiB are swapped out: a server may wait for its own memory",
        "sudo swapoff -a");
  }
  if (!machine.has_pressure_information)
    say(Severity::limits, "no /proc/pressure: how long servers were blocked is unknown", "boot with psi=1");
  if (const auto accounting = setting("kernel.task_delayacct"); accounting && *accounting == "0") {
    say(Severity::limits, "no delay accounting: how long a single task waited for the disk is unknown",
        "sudo sysctl -w kernel.task_delayacct=1");
  }
  if (!machine.has_perf) {
    say(Severity::limits, "perf is not installed: no profiles, no counts of system calls",
        "apt-get install linux-perf");
  } else if (const auto paranoid = setting("kernel.perf_event_paranoid");
             paranoid && std::atoi(paranoid->c_str()) > 1 && geteuid() != 0) {
    say(Severity::limits, "perf may not look into the kernel (perf_event_paranoid " + *paranoid + ")",
        "sudo sysctl -w kernel.perf_event_paranoid=1");
  } else {
    say(Severity::fine, "perf is there");
  }
  if (!machine.has_fuse_device) {
    say(Severity::limits, "no /dev/fuse for this user: no slow disks",
        "sudo modprobe fuse; in a container: start it with --device /dev/fuse --cap-add SYS_ADMIN");
  } else if (!machine.has_fusermount) {
    say(Severity::limits, "fusermount3 is not installed: no slow disks", "apt-get install fuse3");
  } else {
    say(Severity::fine, "FUSE is there");
  }
  if (machine.network_obstacle.empty()) {
    say(Severity::fine, "each trial has a network namespace of its own");
  } else {
    say(Severity::limits,
        "trials share ports, TIME_WAIT and packet filters with other programs: no network of a run's own (" +
            machine.network_obstacle + ")",
        "run as root, or allow user namespaces: sudo sysctl -w user.max_user_namespaces=1000");
  }
  if (!machine.misleading_interfaces.empty()) {
    std::string names;
    for (const std::string& one : machine.misleading_interfaces) names += (names.empty() ? "" : ", ") + one;
    say(Severity::limits, "MPI may choose an interface that reaches no other host: " + names,
        "with client hosts, give interface in [resources]; by hand: mpirun --mca btl_tcp_if_include 10.10.1.0/24");
  }
  if (machine.missing_packages.empty()) {
    say(Severity::fine, "the outside servers are installed");
  } else {
    std::string packages;
    for (const std::string& one : machine.missing_packages) packages.append(" ").append(one);
    say(Severity::limits, "not all outside servers are installed: no `bakeoff run peers`",
        std::string("apt-get install").append(packages));
  }
  return findings;
}

}  // namespace bakeoff
