#include "harness/ground/slow_disk.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/ground/file_sets.h"

namespace bakeoff {
namespace {

constexpr double mount_timeout_s = 60;  // filling a cache of gigabytes takes its time

bool is_mounted(const std::filesystem::path& dir) {
  struct stat here {
  }, above{};
  if (stat(dir.c_str(), &here) != 0) return errno == ENOTCONN;  // the rest of a mount whose program has died
  return stat(dir.parent_path().c_str(), &above) == 0 && here.st_dev != above.st_dev;
}

void remove_stale_mount(const std::filesystem::path& dir) {
  if (is_mounted(dir) && umount2(dir.c_str(), MNT_DETACH) != 0) {
    // Only root may; everybody else has the set-uid helper that mounted it.
    const std::string command = "fusermount3 -u -z '" + dir.string() + "' 2>/dev/null";
    if (std::system(command.c_str()) != 0) {
      throw StartError(dir.string() +
                       " is the stale mount of a bakeoff that died, and cannot be removed; run: fusermount3 -u -z " +
                       dir.string());
    }
  }
  std::error_code ignored;
  std::filesystem::remove(dir, ignored);
}

Command command_for(Programs& programs, const Specification& spec, const Cell& cell,
                    const std::filesystem::path& mountpoint, const std::vector<int>& processors, bool timeless) {
  const DiskSpec& disk = *spec.disk;
  Command command{{slow_disk_program(programs).string(), mountpoint.string(), "--workload", spec.workload}, processors};
  const auto add = [&](const char* option, const std::vector<std::string>& values) {
    for (const std::string& value : values) command.arguments.insert(command.arguments.end(), {option, value});
  };
  add("--set", workload_overrides(spec, cell));
  if (timeless) {
    add("--disk", {"constant"});
    add("--disk-set", {"seek=0", "rate=0"});
  } else {
    add("--disk", {disk.model});
    add("--disk-set", disk.model_overrides);
    add("--cache", {std::to_string(disk.cache_bytes)});
    add("--seed", {std::to_string(spec.seed)});
    command.arguments.push_back("--prefill");
    if (spec.trace_events > 0) add("--trace-events", {std::to_string(spec.trace_events)});
  }
  return command;
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\n ");
  if (end == std::string::npos) return "it said nothing";
  const std::size_t before = text.rfind('\n', end);
  return text.substr(before == std::string::npos ? 0 : before + 1,
                     end - (before == std::string::npos ? std::string::npos : before));
}

}  // namespace

std::filesystem::path slow_disk_program(const Programs& programs) {
  try {
    return programs.find("bakeoff-slowdisk");
  } catch (const StartError&) {
    throw StartError("[disk] model needs bakeoff-slowdisk, which was not built; install libfuse3-dev and build again");
  }
}

std::filesystem::path slow_disk_mountpoint(const std::filesystem::path& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) throw StartError("cannot make the directory " + dir.string() + ": " + error.message());
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    const std::string name = entry.path().filename();
    pid_t owner = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), owner).ptr != name.data() + name.size()) continue;
    if (owner == getpid() || (kill(owner, 0) != 0 && errno == ESRCH)) remove_stale_mount(entry.path());
  }
  return dir / std::to_string(getpid());
}

SlowDisk::SlowDisk(Programs& programs, const Specification& spec, const Cell& cell,
                   const std::filesystem::path& mountpoint, const std::vector<int>& processors, bool timeless)
    : child_(programs.reactor(), command_for(programs, spec, cell, mountpoint, processors, timeless)),
      mountpoint_(mountpoint) {
  const SteadyTime deadline = after_s(mount_timeout_s);
  const auto line = child_.read_line(deadline);
  if (line) return;  // it is ready
  if (!child_.wait_for_end(std::min(deadline, after_s(2)))) throw StartError("bakeoff-slowdisk was not ready in time");
  throw StartError("the slow disk did not start: " + last_line(child_.errors()));
}

SlowDisk::~SlowDisk() {
  child_.stop();
  std::error_code ignored;
  std::filesystem::remove(mountpoint_, ignored);
}

nlohmann::json SlowDisk::stop() {
  child_.stop();
  std::istringstream output(child_.rest_of_output());
  nlohmann::json statistics;
  for (std::string line; std::getline(output, line);) {
    nlohmann::json event = parse_untrusted_or_discard(line);
    if (event.is_object() && event.value("event", "") == "statistics") statistics = std::move(event);
  }
  return statistics;
}

}  // namespace bakeoff
