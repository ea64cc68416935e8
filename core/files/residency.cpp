#include "core/files/residency.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/check.h"

namespace bakeoff {
namespace {

// Not in the headers of Debian 12; the number is the same on every architecture.
constexpr long cachestat_number = 451;

struct CachestatRange {
  std::uint64_t offset;
  std::uint64_t length;
};

struct Cachestat {
  std::uint64_t cached_pages;
  std::uint64_t dirty_pages;
  std::uint64_t writeback_pages;
  std::uint64_t evicted_pages;
  std::uint64_t recently_evicted_pages;
};

const std::uint64_t page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));

std::uint64_t pages_of(std::uint64_t offset, std::uint64_t length) {
  return (offset + length + page_bytes - 1) / page_bytes - offset / page_bytes;
}

bool mapped_resident(const FileBytes& file, std::uint64_t offset, std::uint64_t length) {
  std::array<unsigned char, residency_range_bytes / 4096 + 2> resident;
  const std::uint64_t first = offset / page_bytes * page_bytes;
  const std::uint64_t pages = pages_of(offset, length);
  BAKEOFF_CHECK(pages <= resident.size());
  if (::mincore(const_cast<char*>(file.memory) + first, offset + length - first, resident.data()) != 0) return true;
  return std::all_of(resident.begin(), resident.begin() + static_cast<std::ptrdiff_t>(pages),
                     [](unsigned char page) { return (page & 1) != 0; });
}

bool cachestat_resident(const FileBytes& file, std::uint64_t offset, std::uint64_t length) {
  CachestatRange range{offset, length};
  Cachestat counts{};
  if (::syscall(cachestat_number, file.fd, &range, &counts, 0) != 0) return true;
  return counts.cached_pages >= pages_of(offset, length);
}

bool byte_resident(int fd, std::uint64_t offset) {
  char byte;
  iovec piece{&byte, 1};
  // Not every file system can tell (FUSE cannot): what is not known to be in memory counts as absent.
  return ::preadv2(fd, &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT) >= 0;
}

}  // namespace

std::string_view name_of(Residency residency) {
  switch (residency) {
    case Residency::none: return "none";
    case Residency::mincore: return "mincore";
    case Residency::cachestat: return "cachestat";
    case Residency::nowait: return "nowait";
    case Residency::always_offload: return "always-offload";
  }
  BAKEOFF_CHECK(false);
}

bool is_supported(Residency residency) {
  if (residency != Residency::cachestat) return true;
  // Where there is the call, it finds no such descriptor. A sandbox may forbid it (EPERM).
  return ::syscall(cachestat_number, -1, nullptr, nullptr, 0) != 0 && errno == EBADF;
}

bool is_resident(Residency residency, const FileBytes& file, std::uint64_t offset, std::uint64_t length) {
  if (file.memory != nullptr && !file.mapped) return true;
  switch (residency) {
    case Residency::none: return true;
    case Residency::mincore: return mapped_resident(file, offset, length);
    case Residency::cachestat: return cachestat_resident(file, offset, length);
    case Residency::nowait: return byte_resident(file.fd, offset) && byte_resident(file.fd, offset + length - 1);
    case Residency::always_offload: return false;
  }
  BAKEOFF_CHECK(false);
}

}  // namespace bakeoff
