// One schedule for several workers. Each sends its share of the arrivals, which keeps their wake-ups apart; an arrival
// that finds no free connection with its own worker waits here, and whichever worker has one first takes it.
#pragma once

#include <atomic>
#include <boost/lockfree/queue.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/sharing/shared_memory.h"

namespace bakeoff {

class WaitingArrivals {
 public:
  // Made before the workers are forked. Throws StartError.
  explicit WaitingArrivals(std::uint32_t workers);
  ~WaitingArrivals();
  WaitingArrivals(const WaitingArrivals&) = delete;
  WaitingArrivals& operator=(const WaitingArrivals&) = delete;

  bool empty() const { return shared_->queue.empty(); }
  // The one that has waited longest.
  std::optional<std::int64_t> take();
  // False when so many wait already that one more may as well stay with its worker.
  bool add(std::int64_t scheduled_ns);

  // A worker tells whether it has free connections, before it looks at empty() for the last time and sleeps.
  void tell_free(std::uint32_t worker, bool has_free);
  // Wakes a worker that has some, if there is one. After add().
  void ring();
  // An eventfd that ring() makes readable, again with each ring.
  int bell(std::uint32_t worker) const { return bells_[worker]; }

 private:
  struct Shared {
    boost::lockfree::queue<std::int64_t, boost::lockfree::capacity<16'384>> queue;
    std::atomic<std::uint32_t> next_to_wake{0};
  };
  SharedRegion region_;
  Shared* shared_;
  std::atomic<bool>* has_free_;  // by worker, behind *shared_
  std::vector<int> bells_;
};

}  // namespace bakeoff
