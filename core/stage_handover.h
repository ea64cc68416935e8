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

  // BLOCKS: lock. The same from a list.
  void merge(std::vector<int>& batch) {
    if (batch.empty()) return;
    {
      const std::lock_guard guard(mutex_);
      for (const int fd : batch) set_.insert(fd);
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

// A pool of threads and the stage that feeds it, only one of which is active at a time. Threads are woken one by one:
// the first that is about to work wakes a second, in case it blocks, and so on; a batch that never blocks is worked off
// by one thread, and one that blocks everywhere gets the whole pool.
template <class Item>
class TurnPool {
 public:
  // BLOCKS: until the pool has worked off every item.
  void run(std::vector<Item>& batch) {
    std::unique_lock lock(mutex_);
    batch_ = &batch;
    next_ = 0;
    left_ = batch.size();
    wake_another();
    done_.wait(lock, [&] { return left_ == 0; });
    batch_ = nullptr;
  }

  // Each thread of the pool: works off items for ever. BLOCKS: while there are none.
  template <class Work>
  [[noreturn]] void work(Work work_on) {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      begin_.wait(lock, [&] { return waking_ > 0 || has_items(); });
      if (waking_ > 0) --waking_;
      --idle_;
      while (has_items()) {
        Item& item = (*batch_)[next_++];
        wake_another();
        lock.unlock();
        work_on(item);
        lock.lock();
        if (--left_ == 0) done_.notify_one();
      }
    }
  }

 private:
  bool has_items() const { return batch_ != nullptr && next_ < batch_->size(); }

  void wake_another() {
    if (waking_ > 0 || idle_ == 0 || !has_items()) return;
    ++waking_;
    begin_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable begin_;
  std::condition_variable done_;
  std::vector<Item>* batch_ = nullptr;
  std::size_t next_ = 0;
  std::size_t left_ = 0;
  std::size_t idle_ = 0;
  std::size_t waking_ = 0;  // threads told to work that have not yet begun to
};

}  // namespace bakeoff
