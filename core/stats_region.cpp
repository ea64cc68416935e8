#include "core/stats_region.h"

#include <fcntl.h>
#include <sys/mman.h>
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

namespace bakeoff {
namespace {

constexpr std::string_view region_name = "bakeoff-stats";
constexpr std::string_view region_magic = "bakeoff stats 1";

}  // namespace

StatsRegion::StatsRegion(std::string_view server) : StatsRegion(::memfd_create(region_name.data(), MFD_CLOEXEC), true) {
  region_magic.copy(header_->magic, sizeof header_->magic - 1);
  header_->layout = stats_layout();
  server.copy(header_->server, sizeof header_->server - 1);
}

StatsRegion::StatsRegion(int fd, bool writable) : fd_(fd), bytes_(sizeof(Header) + most_workers * sizeof(WorkerStats)) {
  void* memory = MAP_FAILED;
  if (fd_ >= 0 && (!writable || ::ftruncate(fd_, static_cast<off_t>(bytes_)) == 0)) {
    memory = ::mmap(nullptr, bytes_, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_NORESERVE, fd_, 0);
  }
  if (memory == MAP_FAILED) {
    const int error = errno;
    if (fd_ >= 0) ::close(fd_);
    throw StartError(std::string("no memory for the counters can be had: ") + std::strerror(error));
  }
  header_ = static_cast<Header*>(memory);
}

StatsRegion StatsRegion::of_process(pid_t pid) {
  namespace fs = std::filesystem;
  const std::string who = "process " + std::to_string(pid);
  std::error_code error;
  fs::directory_iterator descriptors("/proc/" + std::to_string(pid) + "/fd", error);
  if (error) {
    throw UsageError(who +
                     (error == std::errc::no_such_file_or_directory ? " is not there"
                                                                    : " may not be looked at: " + error.message()) +
                     "; give the pid of a running server, which its ready line tells");
  }
  for (; descriptors != fs::directory_iterator(); descriptors.increment(error)) {
    if (error) break;
    const std::string target = fs::read_symlink(descriptors->path(), error).string();
    if (error || !target.starts_with("/memfd:" + std::string(region_name))) continue;
    const int fd = ::open(descriptors->path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    StatsRegion region(fd, false);
    if (region_magic != region.header_->magic || region.header_->layout != stats_layout()) {
      throw UsageError(who + " is a server of another build, which counts otherwise; use the bakeoff of that build");
    }
    return region;
  }
  throw UsageError(who + " is no server of bakeoff's; give the pid of one, which its ready line tells");
}

StatsRegion::StatsRegion(StatsRegion&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), bytes_(other.bytes_), header_(std::exchange(other.header_, nullptr)) {}

StatsRegion::~StatsRegion() {
  if (header_ != nullptr) ::munmap(header_, bytes_);
  if (fd_ >= 0) ::close(fd_);
}

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
  statistics["server"] = std::string(header_->server, ::strnlen(header_->server, sizeof header_->server));
  statistics["total"] = total_json(used());
  statistics["workers"] = nlohmann::ordered_json::array();
  for (const WorkerStats& worker : used()) statistics["workers"].push_back(bakeoff::to_json(worker));
  return statistics;
}

}  // namespace bakeoff
