#include "core/files/document_root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

int status_of_errno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ENXIO:  // a FIFO or socket
      return 404;
    case EACCES:
    case EPERM:
    case EXDEV:  // the name leads out of the root
    case ELOOP: return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:  // a rename raced with the resolution
      return 503;
    default: return 500;
  }
}

// File systems hold dates that int64_t nanoseconds cannot: those before 1677 and after 2262 become the first and the
// last that it can.
std::int64_t nanoseconds_of(const timespec& time) {
  constexpr std::int64_t second_ns = 1'000'000'000;
  if (time.tv_sec > std::numeric_limits<std::int64_t>::max() / second_ns - 1)
    return std::numeric_limits<std::int64_t>::max();
  if (time.tv_sec < std::numeric_limits<std::int64_t>::min() / second_ns + 1)
    return std::numeric_limits<std::int64_t>::min();
  return std::int64_t{time.tv_sec} * second_ns + time.tv_nsec;
}

}  // namespace

DocumentRoot::DocumentRoot(const std::string& directory)
    : fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ < 0) {
    const int error = errno;
    throw UsageError("the root \"" + directory + "\" cannot be read: " + std::strerror(error) +
                     "; give --root a readable directory");
  }
}

void DocumentRoot::check_kernel() const {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, fd_, ".", &how, sizeof how);
  if (fd >= 0) {
    ::close(static_cast<int>(fd));
  } else if (errno == ENOSYS || errno == EPERM) {
    throw StartError(std::string("this kernel or sandbox does not let openat2 keep file names below --root (") +
                     std::strerror(errno) + "); Linux 5.6 or later is needed");
  }
}

DocumentRoot::~DocumentRoot() { ::close(fd_); }

DocumentRoot::File DocumentRoot::open(std::string_view name) const {
  name.remove_prefix(name.find_first_not_of('/') == std::string_view::npos ? name.size() : name.find_first_not_of('/'));
  const std::string relative = name.empty() ? std::string(".") : std::string(name);

  open_how how{};
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  how.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  File file;
  const long fd = ::syscall(SYS_openat2, fd_, relative.c_str(), &how, sizeof how);
  if (fd < 0) {
    file.status = status_of_errno(errno);
    return file;
  }
  file.fd = static_cast<int>(fd);
  struct stat attributes {};
  if (::fstat(file.fd, &attributes) != 0) {
    file.status = status_of_errno(errno);
  } else if (S_ISDIR(attributes.st_mode)) {
    file.status = 301;
  } else if (!S_ISREG(attributes.st_mode)) {
    file.status = 403;
  } else {
    file.status = 200;
    file.size_bytes = static_cast<std::uint64_t>(attributes.st_size);
    file.mtime_ns = nanoseconds_of(attributes.st_mtim);
    file.device = attributes.st_dev;
    file.inode = attributes.st_ino;
    return file;
  }
  ::close(file.fd);
  file.fd = -1;
  return file;
}

}  // namespace bakeoff
