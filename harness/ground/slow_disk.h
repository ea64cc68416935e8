// The file set seen through bakeoff-slowdisk, for as long as one server is under test: every trial has a fresh mount
// whose cache was filled in the same way, so that none finds what another left.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/ground/programs.h"
#include "harness/plan/specification.h"
#include "harness/processes/child.h"
#include "results/model.h"

namespace bakeoff {

// StartError when it was not built, with what to do.
std::filesystem::path slow_disk_program(const Programs& programs);

// Where this process mounts it: a directory under `dir`. What processes that have died left mounted there is removed
// first. StartError when that cannot be.
std::filesystem::path slow_disk_mountpoint(const std::filesystem::path& dir);

class SlowDisk {
 public:
  // timeless: every page costs nothing and stays, as is wanted to verify a server. REQUIRES: spec.disk with a model.
  // StartError in one sentence when there is no FUSE. BLOCKS: until the cache is filled.
  SlowDisk(Programs& programs, const Specification& spec, const Cell& cell, const std::filesystem::path& mountpoint,
           const std::vector<int>& processors, bool timeless);
  ~SlowDisk();
  SlowDisk(const SlowDisk&) = delete;
  SlowDisk& operator=(const SlowDisk&) = delete;

  pid_t pid() const { return child_.pid(); }

  // Unmounts and returns what the disk did; null when it did not end in order. BLOCKS.
  nlohmann::json stop();

 private:
  Child child_;
  std::filesystem::path mountpoint_;
};

}  // namespace bakeoff
