#include "harness/machine/process_probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace bakeoff {
namespace {

template <class Visit>
void for_each_number(const std::string& dir, Visit visit) {
  DIR* open_dir = opendir(dir.c_str());
  if (open_dir == nullptr) return;
  while (const dirent* entry = readdir(open_dir)) {
    const char* end = entry->d_name + std::strlen(entry->d_name);
    pid_t number = 0;
    if (std::from_chars(entry->d_name, end, number).ptr == end) visit(number);
  }
  closedir(open_dir);
}

std::uint64_t number_after(const std::string& text, const char* label) {
  const std::size_t at = text.find(label);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + std::strlen(label), nullptr, 10);
}

constexpr const char* delay_accounting_file = "/proc/sys/kernel/task_delayacct";

bool write_small_file(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text, std::strlen(text)) > 0;
  close(fd);
  return written;
}

}  // namespace

bool delays_are_accounted() {
  const auto value = read_small_file(delay_accounting_file);
  return value && value->starts_with('1');
}

DelayAccounting::DelayAccounting() : switched_on_(!delays_are_accounted() && write_small_file(delay_accounting_file, "1")) {}

DelayAccounting::~DelayAccounting() {
  if (switched_on_) write_small_file(delay_accounting_file, "0");
}

std::optional<std::string> read_small_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::string text;
  char piece[8192];
  ssize_t got;
  while ((got = read(fd, piece, sizeof piece)) > 0) text.append(piece, static_cast<std::size_t>(got));
  close(fd);
  if (got < 0) return std::nullopt;
  return text;
}

std::vector<pid_t> GroupProbe::members() const {
  std::vector<pid_t> pids;
  for_each_number("/proc", [&](pid_t pid) {
    if (getpgid(pid) == group_) pids.push_back(pid);  // one call, instead of parsing stat of every process there is
  });
  return pids;
}

GroupUse GroupProbe::sample() {
  GroupUse use;
  for (const pid_t pid : members()) {
    ++use.processes;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for_each_number(tasks, [&](pid_t task) {
      const std::string dir = tasks + "/" + std::to_string(task);
      const auto schedstat = read_small_file(dir + "/schedstat");
      if (!schedstat) return;
      ++use.tasks;
      TaskUse& of_task = seen_[task];
      of_task.cpu_ns = std::strtoull(schedstat->c_str(), nullptr, 10);
      if (const auto status = read_small_file(dir + "/status")) {
        of_task.voluntary_switches = number_after(*status, "\nvoluntary_ctxt_switches:");
        of_task.involuntary_switches = number_after(*status, "\nnonvoluntary_ctxt_switches:");
      }
    });
  }
  use.at = std::chrono::steady_clock::now();
  for (const auto& [task, of_task] : seen_) {
    use.total.cpu_ns += of_task.cpu_ns;
    use.total.voluntary_switches += of_task.voluntary_switches;
    use.total.involuntary_switches += of_task.involuntary_switches;
  }
  return use;
}

std::optional<std::uint64_t> GroupProbe::memory_bytes() const {
  std::uint64_t bytes = 0;
  for (const pid_t pid : members()) {
    if (const auto maps = read_small_file("/proc/" + std::to_string(pid) + "/smaps_rollup")) bytes += number_after(*maps, "\nPss:") * 1024;
  }
  if (bytes == 0) return std::nullopt;
  return bytes;
}

std::optional<ProcessorTimes> processor_times(const std::vector<int>& processors) {
  const auto stat = read_small_file("/proc/stat");
  if (!stat) return std::nullopt;
  const double tick_s = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  ProcessorTimes times;
  bool found = false;
  std::istringstream lines(*stat);
  for (std::string line; std::getline(lines, line);) {
    int processor = -1;
    double user, nice, system, idle, iowait, irq, softirq, steal;
    if (std::sscanf(line.c_str(), "cpu%d %lf %lf %lf %lf %lf %lf %lf %lf", &processor, &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal) != 9) continue;
    if (!processors.empty() && std::find(processors.begin(), processors.end(), processor) == processors.end()) continue;
    found = true;
    times.total_s += (user + nice + system + idle + iowait + irq + softirq + steal) * tick_s;
    times.idle_s += idle * tick_s;
    times.iowait_s += iowait * tick_s;
  }
  if (!found) return std::nullopt;
  return times;
}

std::optional<std::uint64_t> page_cache_bytes() {
  const auto meminfo = read_small_file("/proc/meminfo");
  if (!meminfo) return std::nullopt;
  const std::uint64_t cached = number_after(*meminfo, "\nCached:") + number_after(*meminfo, "\nBuffers:");
  const std::uint64_t shared = number_after(*meminfo, "\nShmem:");  // counted under Cached, yet no file's
  return (cached - std::min(cached, shared)) * 1024;
}

}  // namespace bakeoff
