// Processes made as shared-SYMPED makes them: they share the descriptors, and no memory but what was shared before.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <new>
#include <stdexcept>
#include <utility>

#include "core/sharing/shared_memory.h"

namespace bakeoff::test {

template <class T>
class Shared {
 public:
  Shared() : region_(sizeof(T)), value_(new (region_.data()) T()) {}
  T* operator->() const { return value_; }

 private:
  SharedRegion region_;
  T* value_;
};

// Until the condition holds; throws when it does not come about.
template <class Condition>
void spin_until(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) throw std::runtime_error("what was waited for did not come");
    ::sched_yield();
  }
}

[[noreturn]] inline void wait_to_be_killed() {
  for (;;) ::pause();
}

// Killed when the test is over, at the latest.
class Process {
 public:
  Process() = default;
  template <class Body>
  explicit Process(Body body)
      : pid_(static_cast<pid_t>(::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr))) {
    if (pid_ == 0) {
      int status = 99;
      try {
        status = body();
      } catch (...) {
      }
      ::syscall(SYS_exit_group, status);  // nothing of the parent's is flushed or destroyed
    }
    if (pid_ < 0) throw std::runtime_error("no process");
  }
  ~Process() { kill_and_reap(); }
  Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Process& operator=(Process&& other) noexcept {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, -1);
    return *this;
  }

  void kill_and_reap() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  // The exit status; -1 when it was killed.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

}  // namespace bakeoff::test
