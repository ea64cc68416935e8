// How the stages of a pipeline hand connections on: sets of descriptors that are merged, and batches that a pool works
// off while the stage before it waits (Pariag 2007, section 6).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

#include "core/descriptor_set.h"
#include "core/wakeup.h"

namespace bakeoff {

// Where a stage leaves connections for the next, which may be waiting in its event mechanism.
class StageInbox {
 public:
  explicit StageInbox(int descriptors) : set_(descriptors) {}

  // BLOCKS: lock. Empties the batch.
  void merge(DescriptorSet& batch) {
    {
      const std::lock_guard guard(mutex_);
      set_.merge(batch);
    }
    batch.clear();
    wakeup_.notify();
  }

  // BLOCKS: lock. Moves everything into `mine`.
  void take(DescriptorSet& mine) {
    wakeup_.acknowledge();
    const std::lock_guard guard(mutex_);
    mine.merge(set_);
    set_.clear();
  }

  // Readable when there is something to take.
  int fd() const { return wakeup_.fd(); }

 private:
  std::mutex mutex_;
  DescriptorSet set_;
  Wakeup wakeup_;
};

// A pool of threads and the stage that feeds it, only one of which is active at a time.
template <class Item>
class TurnPool {
 public:
  // BLOCKS: until the pool has worked off every item.
  void run(std::vector<Item>& batch) {
    std::unique_lock lock(mutex_);
    batch_ = &batch;
    next_ = 0;
    left_ = batch.size();
    for (std::size_t i = 0; i < batch.size() && i < idle_; ++i) begin_.notify_one();
    done_.wait(lock, [&] { return left_ == 0; });
    batch_ = nullptr;
  }

  // Each thread of the pool: works off items for ever. BLOCKS: while there are none.
  template <class Work>
  [[noreturn]] void work(Work work_on) {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      begin_.wait(lock, [&] { return batch_ != nullptr && next_ < batch_->size(); });
      --idle_;
      while (batch_ != nullptr && next_ < batch_->size()) {
        Item& item = (*batch_)[next_++];
        lock.unlock();
        work_on(item);
        lock.lock();
        if (--left_ == 0) done_.notify_one();
      }
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable begin_;
  std::condition_variable done_;
  std::vector<Item>* batch_ = nullptr;
  std::size_t next_ = 0;
  std::size_t left_ = 0;
  std::size_t idle_ = 0;
};

}  // namespace bakeoff
