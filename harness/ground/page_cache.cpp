#include "harness/ground/page_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "core/base/errors.h"
#include "harness/processes/reactor.h"

namespace bakeoff {

std::uint64_t bring_page_cache(Reactor& reactor, const std::filesystem::path& root, PageCache state) {
  if (state == PageCache::as_is) return 0;
  std::vector<char> piece(256 << 10);
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    reactor.wait_until([] { return true; }, after_s(0));  // a signal is handled between two files
    const int fd = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw StartError("cannot read " + entry.path().string() + ": " + std::strerror(errno));
    if (state == PageCache::cold) {
      struct stat status {};
      if (fstat(fd, &status) == 0) bytes += static_cast<std::uint64_t>(status.st_size);
      fdatasync(fd);  // pages that are not written yet cannot be dropped
      posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    } else {
      ssize_t got;
      while ((got = ::read(fd, piece.data(), piece.size())) > 0) bytes += static_cast<std::uint64_t>(got);
    }
    close(fd);
  }
  return bytes;
}

}  // namespace bakeoff
