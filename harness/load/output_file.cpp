#include "harness/load/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/standard_output.h"

namespace bakeoff {

namespace {

[[noreturn]] void cannot_write(const std::string& name, int cause) {
  throw StartError("cannot write " + name + (cause != 0 ? std::string(": ") + std::strerror(cause) : ""));
}

// Creates it if it is not there. 0, or why it cannot be opened for writing.
int try_to_open(const std::filesystem::path& file, int flags) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  if (fd < 0) return errno;
  ::close(fd);
  return 0;
}

}  // namespace

OutputFile::OutputFile(const std::string& name) : name_(name) {
  if (name == "-" || name == "/dev/stdout") {
    if (::fcntl(STDOUT_FILENO, F_GETFD) < 0) cannot_write("to standard output", errno);
    return;
  }
  std::error_code missing;
  place_ = std::filesystem::canonical(name, missing);
  if (missing) place_ = name;
  struct stat status {};
  const bool exists = ::stat(name.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) cannot_write(name, EISDIR);
  if (exists && ::access(name.c_str(), W_OK) != 0) cannot_write(name, errno);
  // What stands for a descriptor (/dev/fd/3) leads to a file that others have open: it is written where it is.
  if ((exists && !S_ISREG(status.st_mode)) || name.starts_with("/dev/") || name.starts_with("/proc/")) return;
  if (std::filesystem::is_symlink(place_, missing)) {  // it leads to a file that is not there yet
    if (const int cause = try_to_open(place_, 0); cause != 0) cannot_write(name, cause);
    return;
  }
  const int cause = try_to_open(beside(), O_EXCL);
  if (cause == 0) ::unlink(beside().c_str());
  if (cause != 0 && !exists) cannot_write(name, cause);
  renames_ = cause == 0;
}

std::filesystem::path OutputFile::beside() const {
  return place_.string() + "." + std::to_string(::getpid()) + ".unfinished";
}

void OutputFile::write_to(const std::filesystem::path& file, const std::function<void(std::ostream&)>& put) const {
  errno = 0;
  std::ofstream out(file, std::ios::binary);
  if (out) put(out);
  if (!out.flush()) cannot_write(name_, errno);
}

void OutputFile::write(const std::function<void(std::ostream&)>& put) const {
  if (is_standard_output()) {
    std::ostringstream text;
    put(text);
    return write_to_standard_output(text.str());
  }
  if (!renames_) return write_to(place_, put);
  const std::filesystem::path unfinished = beside();
  try {
    write_to(unfinished, put);
    struct stat old {};
    if (::stat(place_.c_str(), &old) == 0) ::chmod(unfinished.c_str(), old.st_mode & 07777);
    if (::rename(unfinished.c_str(), place_.c_str()) != 0) cannot_write(name_, errno);
  } catch (...) {
    ::unlink(unfinished.c_str());
    throw;
  }
}

}  // namespace bakeoff
