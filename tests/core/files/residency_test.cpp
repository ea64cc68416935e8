#include "core/files/residency.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
using bakeoff::test::TempDir;

namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t file_bytes = 16 * page + 100;

struct WatchedFile {
  WatchedFile() {
    directory.write("file", std::string(file_bytes, 'x'));
    fd = ::open((directory.path() / "file").c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    mapping = ::mmap(nullptr, file_bytes, PROT_READ, MAP_SHARED, fd, 0);
    REQUIRE(mapping != MAP_FAILED);
  }
  ~WatchedFile() {
    ::munmap(mapping, file_bytes);
    ::close(fd);
  }
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;

  FileBytes open() const {
    FileBytes bytes;
    bytes.fd = fd;
    bytes.size_bytes = file_bytes;
    return bytes;
  }
  FileBytes mapped() const {
    FileBytes bytes;
    bytes.memory = static_cast<const char*>(mapping);
    bytes.mapped = true;
    bytes.size_bytes = file_bytes;
    return bytes;
  }
  FileBytes bytes_for(Residency residency) const { return residency == Residency::mincore ? mapped() : open(); }

  // Drops the pages from the kernel's memory; false where a file system has no other place for them (tmpfs).
  bool drop_pages() const {
    struct statfs system {};
    constexpr long tmpfs = 0x01021994;
    if (::fstatfs(fd, &system) != 0 || system.f_type == tmpfs) return false;
    return ::fdatasync(fd) == 0 && ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0 &&
           !is_resident(Residency::mincore, mapped(), 0, file_bytes);
  }

  TempDir directory;
  int fd = -1;
  void* mapping = nullptr;
};

}  // namespace

TEST_CASE("a file just written is in memory, whichever way it is asked") {
  const WatchedFile file;
  const Residency residency = GENERATE(Residency::mincore, Residency::cachestat, Residency::nowait, Residency::none);
  CAPTURE(name_of(residency));
  if (!is_supported(residency)) return;
  const FileBytes bytes = file.bytes_for(residency);
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1}, page - 1, page, file_bytes - 1}) {
    for (const std::uint64_t length : {std::uint64_t{1}, page, page + 1, file_bytes}) {
      CAPTURE(offset, length);
      CHECK(is_resident(residency, bytes, offset, std::min(length, file_bytes - offset)));
    }
  }
}

TEST_CASE("pages that are not in memory are missed, and found again once they are read") {
  const WatchedFile file;
  const Residency residency = GENERATE(Residency::mincore, Residency::cachestat, Residency::nowait);
  CAPTURE(name_of(residency));
  if (!is_supported(residency) || !file.drop_pages()) return;
  const FileBytes bytes = file.bytes_for(residency);
  CHECK_FALSE(is_resident(residency, bytes, 0, file_bytes));
  CHECK_FALSE(is_resident(residency, bytes, file_bytes - 1, 1));
  std::string content(file_bytes, '\0');
  // A machine that runs short of memory may take a page at once: then they are read again.
  bool found = false;
  for (int tries = 0; tries < 20 && !found; ++tries) {
    REQUIRE(::pread(file.fd, content.data(), file_bytes, 0) == static_cast<ssize_t>(file_bytes));
    found = is_resident(residency, bytes, 0, file_bytes);
  }
  CHECK(found);
}

TEST_CASE("the longest range may begin anywhere in a page") {
  const TempDir directory;
  directory.write("file", std::string(residency_range_bytes + 3 * page, 'x'));
  const int fd = ::open((directory.path() / "file").c_str(), O_RDONLY | O_CLOEXEC);
  FileBytes bytes;
  bytes.size_bytes = residency_range_bytes + 3 * page;
  void* mapping = ::mmap(nullptr, bytes.size_bytes, PROT_READ, MAP_SHARED, fd, 0);
  bytes.memory = static_cast<const char*>(mapping);
  bytes.mapped = true;
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1}, page - 1, page + 1}) {
    CHECK(is_resident(Residency::mincore, bytes, offset, residency_range_bytes));
  }
  ::munmap(mapping, bytes.size_bytes);
  ::close(fd);
}

TEST_CASE("what lies in the server's own memory is there, and nothing else is when that is said") {
  const std::string content(100, 'x');
  FileBytes own;
  own.memory = content.data();
  own.size_bytes = content.size();
  for (const Residency residency :
       {Residency::none, Residency::mincore, Residency::cachestat, Residency::nowait, Residency::always_offload}) {
    CHECK(is_resident(residency, own, 0, content.size()));
  }
  const WatchedFile file;
  CHECK_FALSE(is_resident(Residency::always_offload, file.open(), 0, file_bytes));
  CHECK_FALSE(is_resident(Residency::always_offload, file.mapped(), 0, file_bytes));
}
