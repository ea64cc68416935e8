#include "core/sharing/visible_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/base/errors.h"

namespace bakeoff {

VisibleMemory::VisibleMemory(const char* name, std::size_t bytes, std::string_view what)
    : fd_(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)), bytes_(bytes) {
  // Whoever reads it from outside can then rely on its size. Old kernels without seals lack only the reader.
  ::fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK);
  void* memory = MAP_FAILED;
  if (fd_ < 0) {  // no memfd here (before Linux 3.17, or forbidden)
    memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  } else if (::ftruncate(fd_, static_cast<off_t>(bytes_)) == 0) {
    memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd_, 0);
  }
  if (memory == MAP_FAILED) {
    const int error = errno;
    if (fd_ >= 0) ::close(fd_);
    throw StartError("no memory for " + std::string(what) + ": " + std::strerror(error));
  }
  data_ = memory;
}

VisibleMemory VisibleMemory::of_process(pid_t pid, std::string_view name, std::string_view what_is_none) {
  namespace fs = std::filesystem;
  const std::string who = "process " + std::to_string(pid);
  std::error_code error;
  fs::directory_iterator descriptors("/proc/" + std::to_string(pid) + "/fd", error);
  if (error) {
    throw UsageError(
        who +
        (error == std::errc::no_such_file_or_directory ? " is not there" : " cannot be inspected: " + error.message()) +
        "; give the pid of a running server, which is in its ready line");
  }
  for (; descriptors != fs::directory_iterator(); descriptors.increment(error)) {
    if (error) break;
    const std::string target = fs::read_symlink(descriptors->path(), error).string();
    if (error || (target != "/memfd:" + std::string(name) && target != "/memfd:" + std::string(name) + " (deleted)"))
      continue;
    VisibleMemory found;
    found.fd_ = ::open(descriptors->path().c_str(), O_RDONLY | O_CLOEXEC);
    if (found.fd_ < 0) continue;
    // Any process may give a memfd that name. A page of it that is not there would end the reader with SIGBUS.
    struct stat status {};
    const int seals = ::fcntl(found.fd_, F_GET_SEALS);
    void* memory = MAP_FAILED;
    if (::fstat(found.fd_, &status) == 0 && status.st_size > 0 && seals >= 0 && (seals & F_SEAL_SHRINK) != 0) {
      found.bytes_ = static_cast<std::size_t>(status.st_size);
      memory = ::mmap(nullptr, found.bytes_, PROT_READ, MAP_SHARED | MAP_NORESERVE, found.fd_, 0);
    }
    if (memory == MAP_FAILED)
      throw UsageError(who + " is not a bakeoff server, or one of another build; use the bakeoff of its build");
    found.data_ = memory;
    return found;
  }
  throw UsageError(who + std::string(what_is_none));
}

VisibleMemory::VisibleMemory(VisibleMemory&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), bytes_(other.bytes_), data_(std::exchange(other.data_, nullptr)) {}

VisibleMemory::~VisibleMemory() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace bakeoff
