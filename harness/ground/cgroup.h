// Bounds on a server's memory and on its reads, by control groups of either version: for experiments where a machine's
// own disk is to matter. They are root's.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/plan/specification.h"

namespace bakeoff {

// Made for one server, removed with it; those of processes that have died are removed when the next is made.
class ServerLimits {
 public:
  // files: where the file set is, whose disk is to be slowed down. StartError in one sentence when the kernel has no
  // such groups, or they may not be made, or the files are on no block device. `root`: where the groups are mounted.
  ServerLimits(const DiskSpec& disk, const std::filesystem::path& files, std::filesystem::path root = "/sys/fs/cgroup");
  // REQUIRES: the server has ended.
  ~ServerLimits();
  ServerLimits(const ServerLimits&) = delete;
  ServerLimits& operator=(const ServerLimits&) = delete;

  // The files into which the server writes "0" to be bound, before it becomes itself.
  const std::vector<std::string>& entrances() const { return entrances_; }

 private:
  std::filesystem::path make_group(const std::string& controller, const std::string& controller_v2);
  void bound(const std::filesystem::path& file, const std::string& value);

  std::filesystem::path root_;
  std::vector<std::filesystem::path> groups_;
  std::vector<std::string> entrances_;
};

// The version of the control groups that has this controller (memory, blkio or io); 0: neither.
int cgroup_version(const std::string& controller, const std::filesystem::path& root = "/sys/fs/cgroup");

}  // namespace bakeoff
