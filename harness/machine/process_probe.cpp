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

}  // namespace bakeoff
