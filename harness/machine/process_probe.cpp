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

std::uint64_t bytes_after(const std::string& text, const char* label) {
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

DelayAccounting::DelayAccounting()
    : switched_on_(!delays_are_accounted() && write_small_file(delay_accounting_file, "1")) {}

DelayAccounting::~DelayAccounting() {
  if (switched_on_) write_small_file(delay_accounting_file, "0");
}

std::optional<std::uint64_t> page_cache_bytes() {
  const auto meminfo = read_small_file("/proc/meminfo");
  if (!meminfo) return std::nullopt;
  const std::uint64_t cached = bytes_after(*meminfo, "\nCached:") + bytes_after(*meminfo, "\nBuffers:");
  const std::uint64_t shared = bytes_after(*meminfo, "\nShmem:");  // counted under Cached, yet no file's
  return (cached - std::min(cached, shared)) * 1024;
}

std::vector<std::string> proactive_reclaim(const std::filesystem::path& system) {
  std::vector<std::string> switches;
  const auto says = [](const std::filesystem::path& file, const char* word) {
    return read_small_file(file.string()).value_or("").starts_with(word);
  };
  if (const auto module = system / "module/damon_reclaim/parameters/enabled"; says(module, "Y"))
    switches.push_back(module.string());
  // kdamonds/0/contexts/0/schemes/0/action: threads, what they watch, and what they do to what they find.
  const auto numbered = [](const std::filesystem::path& parent) {
    std::vector<std::filesystem::path> folders;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
      if (entry.is_directory(ignored)) folders.push_back(entry.path());
    }
    std::sort(folders.begin(), folders.end());
    return folders;
  };
  for (const auto& thread : numbered(system / "kernel/mm/damon/admin/kdamonds")) {
    if (!says(thread / "state", "on")) continue;
    bool reclaims = false;
    for (const auto& context : numbered(thread / "contexts")) {
      for (const auto& scheme : numbered(context / "schemes")) reclaims |= says(scheme / "action", "pageout");
    }
    if (reclaims) switches.push_back((thread / "state").string());
  }
  return switches;
}

}  // namespace bakeoff
