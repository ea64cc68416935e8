#include "harness/processes/processor_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/base/errors.h"

namespace bakeoff {

std::filesystem::path processor_locks_dir() {
  const char* chosen = std::getenv("BAKEOFF_LOCKS");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/tmp/bakeoff-processors";
}

ProcessorLock::ProcessorLock(const std::vector<int>& processors, const std::filesystem::path& dir) {
  std::error_code ignored;
  if (std::filesystem::create_directories(dir, ignored)) chmod(dir.c_str(), 01777);  // other users measure here, too
  for (const int processor : processors) {
    const std::string file = (dir / ("processor-" + std::to_string(processor))).string();
    // A file of another user in a sticky directory may be opened, yet not with O_CREAT.
    int lock = open(file.c_str(), O_RDWR | O_CLOEXEC);
    if (lock < 0) lock = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0) {
      const int why = errno;
      release();
      throw StartError("cannot lock processor " + std::to_string(processor) + " (" + file + "): " + std::strerror(why) +
                       "; set BAKEOFF_LOCKS to a directory that can be written");
    }
    fchmod(lock, 0666);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
      char holder[32] = "";
      [[maybe_unused]] const ssize_t got = pread(lock, holder, sizeof holder - 1, 0);
      close(lock);
      release();
      throw UsageError("another bakeoff (process " + std::to_string(std::atol(holder)) + ") measures on processor " +
                       std::to_string(processor) + "; wait for it, or choose other processors under [resources]");
    }
    locks_.push_back(lock);
    const std::string self = std::to_string(getpid()) + "\n";
    if (ftruncate(lock, 0) == 0) [[maybe_unused]]
      const ssize_t wrote = pwrite(lock, self.data(), self.size(), 0);
  }
}

ProcessorLock::~ProcessorLock() { release(); }

void ProcessorLock::release() {
  for (const int lock : locks_) close(lock);
  locks_.clear();
}

}  // namespace bakeoff
