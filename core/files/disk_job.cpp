#include "core/files/disk_job.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/check.h"

namespace bakeoff {

// Takes no lock and no memory from the heap: a helper process calls it, whose parent may have had threads.
void bring_into_memory(const DiskJob& job, int root_fd) {
  BAKEOFF_CHECK(job.path_bytes <= DiskJob::longest_path);
  std::array<char, DiskJob::longest_path + 1> path;
  *std::copy_n(job.path.data(), job.path_bytes, path.data()) = '\0';

  // Not blocking: a FIFO below the root must not hold the helper for ever.
  open_how how{};
  how.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const int fd = static_cast<int>(::syscall(SYS_openat2, root_fd, path.data(), &how, sizeof how));
  if (fd < 0) return;

  struct stat status {};
  if ((job.length > 0 || job.whole_bytes > 0) && ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const bool whole = size <= job.whole_bytes;
    std::uint64_t offset = whole ? 0 : std::min(job.offset, size);
    const std::uint64_t end = whole ? size : offset + std::min(job.length, size - offset);
    std::array<char, 64 * 1024> scratch;
    // The disk gets the whole range to work on at once, not one piece after another.
    if (end - offset > scratch.size()) {
      ::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(end - offset), POSIX_FADV_WILLNEED);
    }
    while (offset < end) {
      const std::size_t piece = std::min<std::uint64_t>(scratch.size(), end - offset);
      const ssize_t got = ::pread(fd, scratch.data(), piece, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      offset += static_cast<std::uint64_t>(got);
    }
  }
  ::close(fd);
}

}  // namespace bakeoff
