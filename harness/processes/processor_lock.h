// Two harnesses that measure on the same processors measure each other. Each holds a lock a processor, which the kernel
// gives back when its holder ends, however that was.
#pragma once

#include <filesystem>
#include <vector>

namespace bakeoff {

// Where the locks are, for all users of the machine: $BAKEOFF_LOCKS, else /tmp/bakeoff-processors.
std::filesystem::path processor_locks_dir();

class ProcessorLock {
 public:
  // UsageError when another harness holds one of them (says which, and who), StartError when no lock can be made.
  explicit ProcessorLock(const std::vector<int>& processors, const std::filesystem::path& dir = processor_locks_dir());
  ~ProcessorLock();
  ProcessorLock(const ProcessorLock&) = delete;
  ProcessorLock& operator=(const ProcessorLock&) = delete;

 private:
  void release();
  std::vector<int> locks_;
};

}  // namespace bakeoff
