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
  Taken lock() override {
    mutex_.lock();
    return Taken::clean;
  }
  void unlock() override { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

// Lives in memory that processes share. The kernel marks the word when a holder dies, however it died (robust futex
// list). It replaces pthread's robust mutex, which relies on a thread identity in the C library: a process made by
// clone(CLONE_FILES) keeps its parent's.
//
// Why it is correct: the word is 0 or the holder's thread id. Only an exchange from 0 (or from a dead holder's mark)
// takes it, with acquire. An exchange to 0 with release gives it back, and returns the flag that says that threads
// sleep. A sleeper sets that flag before it sleeps, and the kernel lets it sleep only while the word is unchanged, so
// no wake-up between the two is lost. The kernel finds a dead holder's locks in its list: list_op_pending announces
// each operation before the word changes. Program order is enough for that, because the dying thread wrote both.
class ProcessLock final : public Lock {
 public:
  // Each process calls this once after it was made and before its first lock(). REQUIRES: single-threaded. A process
  // that forgot, or that a registered one made by fork or clone and that has not called it itself, trips a check.
  static void register_process();

  // Without contention neither makes a system call. Taking a lock that one holds, or giving back one that one does not
  // hold, trips a check.
  Taken lock() override;
  void unlock() override;

 private:
  Taken wait_for(std::uint32_t owner);

  // What the kernel reads when a process dies: the link that chains the locks it held, and from there, at one fixed
  // distance, the word.
  struct Robust {
    void* next = nullptr;
    std::atomic<std::uint32_t> word{0};  // the holder's kernel thread id, or 0; and the kernel's two flag bits
  };
  Robust robust_;
  friend struct ProcessLockHolder;
};

}  // namespace bakeoff
