// A file set on a slow disk: a read-only FUSE file system with the kernel's page cache on. A cached page is as fast as
// any file's; another page makes its reader, and only its reader, wait for the disk model. Pages beyond the bound are
// evicted, so that residency is real: mincore, preadv2(RWF_NOWAIT) and sendfile see it.
//
// Names and attributes are in memory and cost nothing: only data waits for the disk, not inodes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "harness/slowdisk/disk_model.h"
#include "workloads/file_set.h"

namespace bakeoff {

struct SlowDiskOptions {
  std::filesystem::path mountpoint;
  DiskParameters disk;
  std::uint64_t seed = 1;
  std::uint64_t cache_bytes = 0;               // what the kernel may keep; 0: as much as it likes
  std::uint32_t readahead_bytes = 128 * 1024;  // the most that the kernel asks for ahead of its readers, and at once
  std::vector<std::uint32_t>
      prefill;           // files that are in memory, as far as the bound goes, before anybody asks; read in this order
  int trace_events = 0;  // that each arm keeps of what it served, for bakeoff trace; 0: nothing is recorded
};

struct SlowDiskStatistics {
  DiskStatistics disk;
  double seconds = 0;                // mounted
  std::uint64_t resident_bytes = 0;  // in the kernel's cache, by our account
  std::uint64_t dropped_bytes = 0;
};

class SlowDiskFileSystem {
 public:
  // Mounts. `files` must outlive it. StartError when there is no FUSE or the mount is refused. Replaces a stale mount
  // at the same place. Blocks SIGINT and SIGTERM for this thread and those it starts: run() waits for them.
  SlowDiskFileSystem(const FileSet& files, const SlowDiskOptions& options);
  ~SlowDiskFileSystem();
  SlowDiskFileSystem(const SlowDiskFileSystem&) = delete;
  SlowDiskFileSystem& operator=(const SlowDiskFileSystem&) = delete;

  // Serves until SIGINT, SIGTERM or an unmount by somebody else, then unmounts. Once. Calls `ready`, on any thread,
  // when what was to be in memory is there; what that took is in no statistics. BLOCKS: for the mount's life.
  SlowDiskStatistics run(const std::function<void()>& ready);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bakeoff
