// A descriptor that one thread makes readable to end another's wait in an event mechanism.
#pragma once

#include <atomic>

namespace bakeoff {

// Why no wake-up is lost. The notifier first leaves its item (in a queue under a lock), then exchanges pending_ for
// true. The waiter stores false in pending_, then looks for items. Operations on pending_ have one order:
//   exchange before the store of false: the waiter looks after both, and finds the item;
//   exchange after it: the exchange returns false, the descriptor is written, and the next wait ends at once.
// If the waiter acknowledges between an exchange and its write, it finds the item, and the write ends one wait for
// nothing. The descriptor then counts one while pending_ is false. The next notify() adds to that count, but one read
// takes all of it, so no wait ends twice.
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
