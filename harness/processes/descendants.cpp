#include "harness/processes/descendants.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <optional>
#include <sstream>

#include "core/base/untrusted.h"
#include "harness/processes/small_file.h"

namespace bakeoff {
namespace {

// /proc/PID/stat: "PID (NAME) STATE PARENT GROUP ...", the start being its 22nd field. NAME may hold blanks
// and brackets.
std::optional<Process> process_of(pid_t pid) {
  // Not by a stream's buffer: it throws when the process ends between opening and reading.
  const std::string text = read_small_file("/proc/" + std::to_string(pid) + "/stat").value_or("");
  const std::size_t open = text.find('('), close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close < open) return std::nullopt;
  Process process;
  process.pid = pid;
  process.name = visible(std::string_view(text).substr(open + 1, close - open - 1));
  std::istringstream rest(text.substr(close + 1));
  char state = 0;
  rest >> state >> process.parent >> process.group;
  std::string field;
  constexpr int first_unread = 6, field_of_start = 22;
  for (int i = first_unread; i < field_of_start; ++i) rest >> field;
  rest >> process.started;
  if (!rest || state == 'Z' || state == 'X') return std::nullopt;
  return process;
}

}  // namespace

std::vector<Process> all_processes() {
  std::vector<Process> all;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size()) continue;
    if (auto process = process_of(pid)) all.push_back(std::move(*process));
  }
  return all;
}

std::uint64_t start_of(pid_t pid) {
  const auto process = process_of(pid);
  return process ? process->started : 0;
}

std::vector<Process> outside_of_group(const std::vector<Process>& all, pid_t leader, std::uint64_t leader_started,
                                      pid_t adopter, const std::set<pid_t>& own_children) {
  std::set<pid_t> family = {leader};
  // A child may stand before its parent in the list.
  for (bool grew = true; grew;) {
    grew = false;
    for (const Process& process : all) {
      const bool orphan = process.parent == adopter && process.started >= leader_started &&
                          !own_children.contains(process.pid) &&
                          (process.group == leader || !own_children.contains(process.group));
      if (orphan || family.contains(process.parent)) grew = family.insert(process.pid).second || grew;
    }
  }
  std::vector<Process> outside;
  std::copy_if(all.begin(), all.end(), std::back_inserter(outside), [&](const Process& process) {
    return process.pid != leader && process.group != leader && family.contains(process.pid);
  });
  return outside;
}

}  // namespace bakeoff
