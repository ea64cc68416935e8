// Work that may wait for a disk, as plain data: it fits through a pipe to a helper process, into the queue of a worker
// or into that of a stage.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bakeoff {

struct DiskJob {
  static constexpr std::size_t longest_path = 2048;

  std::uint64_t offset;       // bytes
  std::uint64_t length;       // bytes to bring into the page cache; 0: the name alone is resolved
  std::uint64_t whole_bytes;  // a file no longer than this is brought in whole
  std::uint32_t connection;   // whose it is, in what is recorded (--trace-events)
  std::uint32_t path_bytes;
  std::array<char, longest_path> path;  // relative to the document root, not terminated

  std::string_view path_view() const { return {path.data(), path_bytes}; }
  // How many bytes of this object carry information: what goes through a pipe.
  std::size_t wire_bytes() const { return offsetof(DiskJob, path) + path_bytes; }
};

// BLOCKS: disk. Resolves the path below `root_fd` and reads the range, so that the caller's next attempt finds the name
// and the pages in memory (Flash's helpers return only a notification: Pai 1999, section 5). It reports no errors: that
// next attempt finds them.
void bring_into_memory(const DiskJob& job, int root_fd);

}  // namespace bakeoff
