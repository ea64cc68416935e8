// A descriptor that one thread makes readable to end another's wait in an event mechanism.
#pragma once

#include <atomic>

namespace bakeoff {

// Counts in the kernel; readable while the count is not 0.
class EventDescriptor {
 public:
  EventDescriptor();  // Throws StartError.
  ~EventDescriptor();
  EventDescriptor(const EventDescriptor&) = delete;
  EventDescriptor& operator=(const EventDescriptor&) = delete;

  void add_one();
  void take_all();
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Why no wake-up is lost. The notifier first leaves its item (in a queue under a lock), then exchanges pending_ for
// true. The waiter stores false in pending_, then looks for items. Operations on pending_ have one order:
//   exchange before the store of false: the waiter looks after both, and finds the item;
//   exchange after it: the exchange returns false, the descriptor is written, and the next wait ends at once.
// If the waiter acknowledges between an exchange and its write, it finds the item, and the write ends one wait for
// nothing. The descriptor then counts one while pending_ is false. The next notify() adds to that count, but one read
// takes all of it, so no wait ends twice.
//
// `Atomic` is std::atomic and `Event` an EventDescriptor, but in the test that explores interleavings.
template <template <class> class Atomic, class Event>
class WakeupOf {
 public:
  // No system call while an earlier one is still to be acknowledged.
  void notify() {
    if (!pending_.exchange(true)) event_.add_one();
  }
  // Call before looking for what the notifications were about.
  void acknowledge() {
    event_.take_all();
    pending_.store(false);
  }
  int fd() const { return event_.fd(); }

 private:
  Event event_;
  Atomic<bool> pending_ = false;
};
using Wakeup = WakeupOf<std::atomic, EventDescriptor>;

}  // namespace bakeoff
