#include "harness/machine/evidence.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <sstream>

#include "harness/machine/process_probe.h"

namespace bakeoff {
namespace {

using nlohmann::json;

constexpr const char* processor_states[] = {"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"};
// Below so many ticks of user and system time together their ratio is rounding.
constexpr double least_ticks = 10;

double tick_s() { return 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK)); }

std::vector<pid_t> numbers_in(const std::string& dir) {
  std::vector<pid_t> numbers;
  DIR* open_dir = opendir(dir.c_str());
  if (open_dir == nullptr) return numbers;
  while (const dirent* entry = readdir(open_dir)) {
    const char* end = entry->d_name + std::strlen(entry->d_name);
    pid_t number = 0;
    if (std::from_chars(entry->d_name, end, number).ptr == end) numbers.push_back(number);
  }
  closedir(open_dir);
  return numbers;
}

std::optional<std::uint64_t> number_after(const std::string& text, const char* label) {
  const std::size_t at = text.find(label);
  if (at == std::string::npos) return std::nullopt;
  return std::strtoull(text.c_str() + at + std::strlen(label), nullptr, 10);
}

// The words of /proc/PID/stat from the third on; the second, a name in brackets, may hold anything.
std::vector<std::string> stat_words(const std::string& stat) {
  std::istringstream in(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

double ticks(const std::vector<std::string>& words, std::size_t number) {
  return number - 3 < words.size() ? std::strtod(words[number - 3].c_str(), nullptr) : 0;
}

// What the threads that a process has now have used, to the nanosecond.
double cpu_s_of_tasks(pid_t pid) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  double sum_s = 0;
  for (const pid_t task : numbers_in(tasks)) {
    if (const auto schedstat = read_small_file(tasks + "/" + std::to_string(task) + "/schedstat"))
      sum_s += static_cast<double>(std::strtoull(schedstat->c_str(), nullptr, 10)) * 1e-9;
  }
  return sum_s;
}

std::map<std::string, double> processors_since_boot(const std::vector<int>& processors) {
  std::map<std::string, double> sums;
  const auto stat = read_small_file("/proc/stat");
  if (!stat) return sums;
  std::istringstream lines(*stat);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("cpu") || line.size() < 4 || line[3] < '0' || line[3] > '9') continue;
    std::istringstream words(line.substr(3));
    int number = 0;
    words >> number;
    if (!processors.empty() && std::find(processors.begin(), processors.end(), number) == processors.end()) continue;
    for (const char* state : processor_states) {
      double value = 0;
      words >> value;
      sums[state] += value * tick_s();
    }
  }
  return sums;
}

bool delays_are_counted() {
  const auto value = read_small_file("/proc/sys/kernel/task_delayacct");
  return value && value->starts_with('1');
}

}  // namespace

std::vector<pid_t> SideProbe::processes() const {
  std::vector<pid_t> pids = numbers_in("/proc");
  pids.erase(std::remove_if(pids.begin(), pids.end(), [&](pid_t pid) { return getpgid(pid) != group_; }), pids.end());
  return pids;
}

SideUse SideProbe::sample(bool memory) {
  SideUse use;
  const bool delays = delays_are_counted();
  std::uint64_t resident = 0, proportional = 0, descriptors = 0;
  bool has_resident = false, has_proportional = false, has_descriptors = false;
  for (const pid_t pid : processes()) {
    ++use.processes;
    const std::string process = "/proc/" + std::to_string(pid);
    for (const pid_t id : numbers_in(process + "/task")) {
      const std::string dir = process + "/task/" + std::to_string(id);
      const auto schedstat = read_small_file(dir + "/schedstat");
      if (!schedstat) continue;
      ++use.tasks;
      Task& task = seen_[id];
      char* rest = nullptr;
      task.cpu_s = static_cast<double>(std::strtoull(schedstat->c_str(), &rest, 10)) * 1e-9;
      task.run_queue_s = static_cast<double>(std::strtoull(rest, nullptr, 10)) * 1e-9;
      if (const auto status = read_small_file(dir + "/status")) {
        task.voluntary = number_after(*status, "\nvoluntary_ctxt_switches:").value_or(0);
        task.involuntary = number_after(*status, "\nnonvoluntary_ctxt_switches:").value_or(0);
      }
      if (const auto stat = read_small_file(dir + "/stat")) {
        const auto words = stat_words(*stat);
        task.user_s = ticks(words, 14) * tick_s();
        task.system_s = ticks(words, 15) * tick_s();
        task.disk_wait_s = ticks(words, 42) * tick_s();
      }
    }
    if (const auto statm = read_small_file(process + "/statm")) {
      std::istringstream words(*statm);
      std::uint64_t size = 0, pages = 0;
      if (words >> size >> pages) {
        resident += pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
        has_resident = true;
      }
    }
    const std::size_t open = numbers_in(process + "/fd").size();
    descriptors += open;
    has_descriptors = has_descriptors || open > 0;
    if (!memory) continue;
    if (const auto maps = read_small_file(process + "/smaps_rollup")) {
      if (const auto pss = number_after(*maps, "\nPss:")) {
        proportional += *pss * 1024;
        has_proportional = true;
      }
    }
  }
  use.at = std::chrono::steady_clock::now();
  use.user_s = use.system_s = 0;
  if (delays) use.disk_wait_s = 0;
  for (const auto& [id, task] : seen_) {
    use.cpu_s += task.cpu_s;
    use.run_queue_s += task.run_queue_s;
    *use.user_s += task.user_s;
    *use.system_s += task.system_s;
    if (delays) *use.disk_wait_s += task.disk_wait_s;
    use.voluntary_switches += task.voluntary;
    use.involuntary_switches += task.involuntary;
  }
  if (has_resident) use.resident_bytes = resident;
  if (has_proportional) use.proportional_bytes = proportional;
  if (has_descriptors) use.descriptors = descriptors;
  use.processors_s = processors_since_boot(processors_);
  if (const auto pressure = read_small_file("/proc/pressure/io")) {
    if (const auto total_us = number_after(*pressure, "total="))
      use.stalled_on_disk_s = static_cast<double>(*total_us) * 1e-6;
  }
  return use;
}

ProcessorSeconds SideProbe::processors() const { return processors_since_boot(processors_); }

double taken_by_others_s(const ProcessorSeconds& from, const ProcessorSeconds& to, double own_s) {
  double busy_s = 0;
  for (const auto& [state, value] : to) {
    if (state == "idle" || state == "iowait") continue;
    const auto before = from.find(state);
    busy_s += value - (before == from.end() ? 0 : before->second);
  }
  return std::max(0.0, busy_s - own_s);
}

double measurement_cpu_s() {
  constexpr pid_t kthreadd = 2;  // the parent of the kernel's threads; there is none in a container
  struct Usage {
    pid_t parent;
    double own_s, ended_children_s;
  };
  std::map<pid_t, Usage> all;
  for (const pid_t pid : numbers_in("/proc")) {
    const auto stat = read_small_file("/proc/" + std::to_string(pid) + "/stat");
    if (!stat) continue;
    const auto words = stat_words(*stat);
    all[pid] = {static_cast<pid_t>(ticks(words, 4)), (ticks(words, 14) + ticks(words, 15)) * tick_s(),
                (ticks(words, 16) + ticks(words, 17)) * tick_s()};
  }
  const pid_t self = getpid();
  double sum_s = 0;
  for (const auto& [pid, process] : all) {
    pid_t ancestor = pid;
    for (std::size_t steps = 0; ancestor != self && ancestor != kthreadd && steps < all.size(); ++steps) {
      const auto found = all.find(ancestor);
      if (found == all.end()) break;
      ancestor = found->second.parent;
    }
    if (ancestor != self && ancestor != kthreadd) continue;
    // By ticks, a process that has used less than one has used none, and a server may have hundreds of them.
    // Threads that have ended are in the ticks alone.
    sum_s += std::max(process.own_s, cpu_s_of_tasks(pid));
    // Whoever has ended is in the account of the one that waited for it.
    if (ancestor == self) sum_s += process.ended_children_s;
  }
  return sum_s;
}

json use_between(const SideUse& from, const SideUse& to) {
  json use = json::object(), unavailable = json::object();
  const double wall_s = std::chrono::duration<double>(to.at - from.at).count();
  const auto rate = [&](double change) { return wall_s > 0 ? json(change / wall_s) : json(nullptr); };
  const auto missing = [&](const char* name, const char* why) {
    use[name] = nullptr;
    unavailable[name] = why;
  };
  const auto count_or_missing = [&](const char* name, const std::optional<std::uint64_t>& value, const char* file) {
    if (value) {
      use[name] = *value;
    } else {
      missing(name, file);
    }
  };
  const double cpu_s = to.cpu_s - from.cpu_s;
  use["cpu_s_per_s"] = rate(cpu_s);
  // How the nanoseconds divide is known in ticks alone.
  const double user_s = to.user_s.value_or(0) - from.user_s.value_or(0),
               system_s = to.system_s.value_or(0) - from.system_s.value_or(0);
  if (user_s + system_s >= least_ticks * tick_s()) {
    use["user_s_per_s"] = rate(cpu_s * user_s / (user_s + system_s));
    use["system_s_per_s"] = rate(cpu_s * system_s / (user_s + system_s));
  } else {
    for (const char* name : {"user_s_per_s", "system_s_per_s"})
      missing(name, "too few clock ticks to divide the CPU time by");
  }
  use["run_queue_s_per_s"] = rate(to.run_queue_s - from.run_queue_s);
  use["voluntary_switches_per_s"] = rate(static_cast<double>(to.voluntary_switches - from.voluntary_switches));
  use["involuntary_switches_per_s"] = rate(static_cast<double>(to.involuntary_switches - from.involuntary_switches));
  use["blocked_source"] = nullptr;
  if (from.disk_wait_s && to.disk_wait_s) {
    use["blocked_s_per_s"] = rate(*to.disk_wait_s - *from.disk_wait_s);
    use["blocked_source"] = "delay accounting, of the side's tasks";
  } else if (from.stalled_on_disk_s && to.stalled_on_disk_s) {
    use["blocked_s_per_s"] = rate(*to.stalled_on_disk_s - *from.stalled_on_disk_s);
    use["blocked_source"] = "pressure stall information, of the machine";
  } else {
    missing("blocked_s_per_s", "kernel.task_delayacct is 0, and there is no /proc/pressure/io");
  }
  count_or_missing("resident_bytes", to.resident_bytes, "/proc/PID/statm cannot be read");
  count_or_missing("proportional_bytes", to.proportional_bytes, "/proc/PID/smaps_rollup cannot be read");
  count_or_missing("descriptors", to.descriptors, "/proc/PID/fd cannot be read");
  double all_s = 0;
  for (const auto& [state, value] : to.processors_s)
    all_s += value - (from.processors_s.contains(state) ? from.processors_s.at(state) : 0);
  if (all_s > 0) {
    for (const auto& [state, value] : to.processors_s) {
      use["processors"][state] =
          (value - (from.processors_s.contains(state) ? from.processors_s.at(state) : 0)) / all_s;
    }
  } else {
    missing("processors", to.processors_s.empty() ? "/proc/stat cannot be read" : "no clock tick passed");
  }
  use["unavailable"] = unavailable;
  return use;
}

void parse_counter_lines(const std::string& text, std::map<std::string, std::uint64_t>& counts) {
  std::istringstream lines(text);
  std::string names, values;
  while (std::getline(lines, names) && std::getline(lines, values)) {
    std::istringstream name_words(names), value_words(values);
    std::string name, value;
    name_words >> name;  // "TcpExt:"
    value_words >> value;
    if (name != value) return;
    while (name_words >> name && value_words >> value) counts[name] = std::strtoull(value.c_str(), nullptr, 10);
  }
}

TcpCounters read_tcp_counters() {
  TcpCounters counters;
  for (const char* file : {"/proc/net/netstat", "/proc/net/snmp"}) {
    if (const auto text = read_small_file(file)) parse_counter_lines(*text, counters.counts);
  }
  if (const auto sockets = read_small_file("/proc/net/sockstat")) counters.time_wait = number_after(*sockets, " tw ");
  return counters;
}

json tcp_between(const TcpCounters& from, const TcpCounters& to) {
  json tcp = json::object(), unavailable = json::object();
  for (const auto& [name, counter] :
       {std::pair{"retransmits", "RetransSegs"}, std::pair{"listen_overflows", "ListenOverflows"},
        std::pair{"listen_drops", "ListenDrops"}, std::pair{"timeouts", "TCPTimeouts"},
        std::pair{"resets_sent", "OutRsts"}, std::pair{"backlog_drops", "TCPBacklogDrop"}}) {
    const auto before = from.counts.find(counter), after = to.counts.find(counter);
    if (before != from.counts.end() && after != to.counts.end()) {
      tcp[name] = after->second - before->second;
    } else {
      tcp[name] = nullptr;
      unavailable[name] = std::string("the kernel has no counter ") + counter;
    }
  }
  const auto number = [](const std::optional<std::uint64_t>& value) { return value ? json(*value) : json(nullptr); };
  tcp["time_wait"] = {{"before", number(from.time_wait)}, {"after", number(to.time_wait)}};
  if (!from.time_wait) unavailable["time_wait"] = "/proc/net/sockstat cannot be read";
  tcp["unavailable"] = unavailable;
  return tcp;
}

std::uint64_t local_ports() {
  std::uint64_t first = 32768, last = 60999;
  if (const auto range = read_small_file("/proc/sys/net/ipv4/ip_local_port_range"))
    std::istringstream(*range) >> first >> last;
  return last >= first ? last - first + 1 : 0;
}

bool reuses_ports() {
  const auto value = read_small_file("/proc/sys/net/ipv4/tcp_tw_reuse");
  return value && !value->starts_with('0');
}

std::optional<double> drift_of(const std::vector<double>& spans) {
  if (spans.size() < 6) return std::nullopt;
  const auto middle = spans.begin() + static_cast<std::ptrdiff_t>(spans.size() / 2);
  const double first = std::accumulate(spans.begin(), middle, 0.0) / static_cast<double>(middle - spans.begin());
  const double second = std::accumulate(middle, spans.end(), 0.0) / static_cast<double>(spans.end() - middle);
  if (first <= 0 || second <= 0) return std::nullopt;
  return std::log(second / first);
}

std::optional<double> bytes_sent() {
  std::map<std::string, std::uint64_t> counts;
  if (const auto text = read_small_file("/proc/net/netstat")) parse_counter_lines(*text, counts);
  const auto found = counts.find("OutOctets");
  if (found == counts.end()) return std::nullopt;
  return static_cast<double>(found->second);
}

}  // namespace bakeoff
