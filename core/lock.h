// The lock of a file cache, chosen by who shares it: nobody (SPED, SYMPED), threads (MT, pipeline, user-level threads
// with their workers) or processes (shared-SYMPED: a futex in shared memory, Pariag 2007, section 5.2).
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace bakeoff {

class Lock {
 public:
  enum class Taken : std::uint8_t {
    clean,
    abandoned,  // the last holder died with it: what it guards may be half-written
  };
  virtual ~Lock() = default;
  virtual Taken lock() = 0;  // BLOCKS: lock
  virtual void unlock() = 0;
};

class NoLock final : public Lock {
 public:
  Taken lock() override { return Taken::clean; }
  void unlock() override {}
};

class ThreadLock final : public Lock {
 public:
  Taken lock() override { mutex_.lock(); return Taken::clean; }
  void unlock() override { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Lives in memory that processes share. The kernel itself marks the word when a holder dies (robust futex list), however
// it was killed. Not pthread's robust mutex: a process made by the bare clone(CLONE_FILES) keeps its parent's thread
// identity inside the C library, which that mutex relies on.
class ProcessLock final : public Lock {
 public:
  // Each process calls this once after it was made and before its first lock(). REQUIRES: single-threaded.
  static void register_process();

  Taken lock() override;
  void unlock() override;
};

}  // namespace bakeoff
