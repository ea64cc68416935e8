// A descriptor that one thread makes readable to end another's wait in an event mechanism.
#pragma once

#include <atomic>

namespace bakeoff {

class Wakeup {
 public:
  Wakeup();  // Throws StartError.
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  // No system call while an earlier one is still to be acknowledged.
  void notify();
  // Call before looking for what the notifications were about.
  void acknowledge();
  int fd() const { return fd_; }

 private:
  int fd_;
  std::atomic<bool> pending_ = false;
};

}  // namespace bakeoff
