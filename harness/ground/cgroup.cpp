#include "harness/ground/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <sstream>
#include <thread>

#include "core/base/errors.h"
#include "harness/processes/small_file.h"

namespace bakeoff {
namespace {

namespace fs = std::filesystem;

constexpr const char* prefix = "bakeoff-";

bool lists(const fs::path& file, const std::string& word) {
  std::istringstream words(read_small_file(file).value_or(""));
  for (std::string one; words >> one;) {
    if (one == word) return true;
  }
  return false;
}

// Version 2 stands at the root itself, or beside version 1 in a folder of its own.
std::optional<fs::path> version_2_root(const std::string& controller, const fs::path& root) {
  for (const fs::path& dir : {root, root / "unified"}) {
    if (lists(dir / "cgroup.controllers", controller)) return dir;
  }
  return std::nullopt;
}

bool is_version_1(const std::string& controller, const fs::path& root) {
  return access((root / controller / "cgroup.procs").c_str(), F_OK) == 0;
}

// 0, or errno.
int write_to(const fs::path& file, const std::string& text) {
  const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = write(fd, text.data(), text.size()) < 0 ? errno : 0;
  close(fd);
  return error;
}

void remove_stale_groups(const fs::path& parent) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(prefix)) continue;
    pid_t owner = 0;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data() + std::strlen(prefix), end, owner).ptr != end) continue;
    if (kill(owner, 0) != 0 && errno == ESRCH) rmdir(entry.path().c_str());
  }
}

// "254:0", the disk that the files are on; of a partition, the whole disk: only that is slowed down.
std::string disk_of(const fs::path& files) {
  struct stat status {};
  if (stat(files.c_str(), &status) != 0)
    throw StartError("cannot look at " + files.string() + ": " + std::strerror(errno));
  const std::string number = std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  const fs::path device = "/sys/dev/block/" + number;
  if (!fs::exists(device)) {
    throw StartError("reads_per_s and read_bytes_per_s need files on a block device, and " + files.string() +
                     " is on none; set BAKEOFF_FILES to a directory that is");
  }
  if (!fs::exists(device / "partition")) return number;
  std::string whole = read_small_file(fs::canonical(device).parent_path() / "dev").value_or(number);
  return whole.substr(0, whole.find('\n'));
}

}  // namespace

int cgroup_version(const std::string& controller, const fs::path& root) {
  if (is_version_1(controller, root)) return 1;
  return version_2_root(controller == "blkio" ? "io" : controller, root) ? 2 : 0;
}

ServerLimits::ServerLimits(const DiskSpec& disk, const fs::path& files, fs::path root) : root_(std::move(root)) {
  try {
    if (disk.memory_bytes > 0) {
      const fs::path group = make_group("memory", "memory");
      bound(group / (cgroup_version("memory", root_) == 1 ? "memory.limit_in_bytes" : "memory.max"),
            std::to_string(disk.memory_bytes));
    }
    if (disk.reads_per_s > 0 || disk.read_bytes_per_s > 0) {
      const std::string device = disk_of(files);
      const fs::path group = make_group("blkio", "io");
      if (cgroup_version("blkio", root_) == 1) {
        if (disk.reads_per_s > 0)
          bound(group / "blkio.throttle.read_iops_device", device + " " + std::to_string(disk.reads_per_s));
        if (disk.read_bytes_per_s > 0)
          bound(group / "blkio.throttle.read_bps_device", device + " " + std::to_string(disk.read_bytes_per_s));
      } else {
        std::string value = device;
        if (disk.reads_per_s > 0) value += " riops=" + std::to_string(disk.reads_per_s);
        if (disk.read_bytes_per_s > 0) value += " rbps=" + std::to_string(disk.read_bytes_per_s);
        bound(group / "io.max", value);
      }
    }
  } catch (...) {
    for (const fs::path& group : groups_) rmdir(group.c_str());
    throw;
  }
}

ServerLimits::~ServerLimits() {
  // The kernel may still be busy with the last process's end.
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  for (const fs::path& group : groups_) {
    while (rmdir(group.c_str()) != 0 && errno == EBUSY && std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
}

fs::path ServerLimits::make_group(const std::string& controller, const std::string& controller_v2) {
  fs::path parent = root_ / controller;
  if (!is_version_1(controller, root_)) {
    const auto unified = version_2_root(controller_v2, root_);
    if (!unified) {
      throw StartError("[disk] needs the kernel's " + controller_v2 + " control group, and " + root_.string() +
                       " has none of either version; a [disk] model needs none");
    }
    parent = *unified;
    const int error = lists(parent / "cgroup.subtree_control", controller_v2)
                          ? 0
                          : write_to(parent / "cgroup.subtree_control", "+" + controller_v2);
    if (error != 0) {
      throw StartError("cannot turn on the " + controller_v2 + " control group in " + parent.string() + ": " +
                       std::strerror(error) + "; run as root, outside of a container");
    }
  }
  remove_stale_groups(parent);
  const fs::path group = parent / (prefix + std::to_string(getpid()));
  if (mkdir(group.c_str(), 0755) != 0 && errno != EEXIST) {
    throw StartError("cannot make the control group " + group.string() + ": " + std::strerror(errno) + "; run as root");
  }
  groups_.push_back(group);
  // With version 2 one group may be both.
  const std::string entrance = group / "cgroup.procs";
  if (std::find(entrances_.begin(), entrances_.end(), entrance) == entrances_.end()) entrances_.push_back(entrance);
  return group;
}

void ServerLimits::bound(const fs::path& file, const std::string& value) {
  if (const int error = write_to(file, value); error != 0)
    throw StartError("cannot write " + value + " to " + file.string() + ": " + std::strerror(error));
}

}  // namespace bakeoff
