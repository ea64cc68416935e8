#include "core/stats_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {
namespace {

constexpr std::string_view region_name = "bakeoff-stats";
constexpr std::string_view region_magic = "bakeoff stats 1";

}  // namespace

StatsRegion::StatsRegion(std::string_view server)
    : StatsRegion(::memfd_create(region_name.data(), MFD_CLOEXEC | MFD_ALLOW_SEALING), true) {
  // Whoever reads it from outside can then rely on its size. Old kernels without seals lack only bakeoff stats.
  ::fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK);
  region_magic.copy(header_->magic, sizeof header_->magic - 1);
  header_->layout = stats_layout();
  server.copy(header_->server, sizeof header_->server - 1);
}

StatsRegion::StatsRegion(int fd, bool writable) : fd_(fd), bytes_(size_bytes) {
  void* memory = MAP_FAILED;
  if (fd_ < 0 &&
      writable) {  // no memfd here (before Linux 3.17, or forbidden): nobody else can look, all else is the same
    memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  } else if (fd_ >= 0 && (!writable || ::ftruncate(fd_, static_cast<off_t>(bytes_)) == 0)) {
    memory = ::mmap(nullptr, bytes_, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_NORESERVE, fd_, 0);
  }
  if (memory == MAP_FAILED) {
    const int error = errno;
    if (fd_ >= 0) ::close(fd_);
    throw StartError(std::string("no memory for the counters: ") + std::strerror(error));
  }
  header_ = static_cast<Header*>(memory);
}

StatsRegion StatsRegion::of_process(pid_t pid) {
  namespace fs = std::filesystem;
  const std::string who = "process " + std::to_string(pid);
  std::error_code error;
  fs::directory_iterator descriptors("/proc/" + std::to_string(pid) + "/fd", error);
  if (error) {
    throw UsageError(
        who +
        (error == std::errc::no_such_file_or_directory ? " is not there" : " cannot be inspected: " + error.message()) +
        "; give the pid of a running server, which is in its ready line");
  }
  for (; descriptors != fs::directory_iterator(); descriptors.increment(error)) {
    if (error) break;
    const std::string target = fs::read_symlink(descriptors->path(), error).string();
    if (error || !target.starts_with("/memfd:" + std::string(region_name))) continue;
    const int fd = ::open(descriptors->path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    // Any process may give a memfd that name. A page of it that is not there would end the reader with SIGBUS.
    struct stat status {};
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (::fstat(fd, &status) != 0 || status.st_size != static_cast<off_t>(size_bytes) || seals < 0 ||
        (seals & F_SEAL_SHRINK) == 0) {
      ::close(fd);
      throw UsageError(who + " is not a bakeoff server, or one of another build; use the bakeoff of its build");
    }
    StatsRegion region(fd, false);
    if (region_magic != region.header_->magic || region.header_->layout != stats_layout()) {
      throw UsageError(who + " is a server of another build, whose counters differ; use the bakeoff of that build");
    }
    return region;
  }
  throw UsageError(who + " is not a bakeoff server; give the pid of one, which is in its ready line");
}

StatsRegion::StatsRegion(StatsRegion&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), bytes_(other.bytes_), header_(std::exchange(other.header_, nullptr)) {}

StatsRegion::~StatsRegion() {
  if (header_ != nullptr) ::munmap(header_, bytes_);
  if (fd_ >= 0) ::close(fd_);
}

// Why `used` needs no lock: it only grows. Each worker raises it to at least its own number plus one before it counts,
// and a failed exchange begins again from the value it found. A reader finds pages of existing workers, or fresh pages
// of zeros: an early reader sees a worker that has counted nothing.
WorkerStats& StatsRegion::of_worker(int number) {
  BAKEOFF_CHECK(0 <= number && number < most_workers);
  int used = header_->used.load();
  while (used <= number && !header_->used.compare_exchange_weak(used, number + 1)) {
  }
  return reinterpret_cast<WorkerStats*>(header_ + 1)[number];
}

std::span<const WorkerStats> StatsRegion::used() const {
  const int count = std::clamp(header_->used.load(), 0, most_workers);
  return {reinterpret_cast<const WorkerStats*>(header_ + 1), static_cast<std::size_t>(count)};
}

nlohmann::ordered_json StatsRegion::to_json() const {
  nlohmann::ordered_json statistics;
  statistics["event"] = "statistics";
  statistics["server"] = visible({header_->server, ::strnlen(header_->server, sizeof header_->server)});
  statistics["total"] = total_json(used());
  statistics["workers"] = nlohmann::ordered_json::array();
  for (const WorkerStats& worker : used()) statistics["workers"].push_back(bakeoff::to_json(worker));
  return statistics;
}

}  // namespace bakeoff
