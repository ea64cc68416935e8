// How the stages of a pipeline hand connections on: sets of descriptors that are merged, and batches that a pool works
// off while the stage before it waits (Pariag 2007, section 6).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "core/events/descriptor_set.h"
#include "core/events/wakeup.h"

namespace bakeoff {

// Where a stage leaves connections for the next, which may be waiting in its event mechanism.
class StageInbox {
 public:
  explicit StageInbox(int descriptors) : set_(descriptors) {}

  // BLOCKS: lock. Empties the batch. Returns how many were still waiting here.
  std::size_t merge(DescriptorSet& batch) {
    std::size_t waiting;
    {
      const std::lock_guard guard(mutex_);
      waiting = set_.size();
      set_.merge(batch);
    }
    batch.clear();
    wakeup_.notify();
    return waiting;
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

  // BLOCKS: lock. The same of one connection.
  void add(int fd) {
    {
      const std::lock_guard guard(mutex_);
      set_.insert(fd);
    }
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

// Connections for an inbox, which gets them together when this ends. One that there is no memory to keep goes at once.
class StageOutbox {
 public:
  explicit StageOutbox(StageInbox& to) : to_(to) {}
  ~StageOutbox() { to_.merge(batch_); }
  StageOutbox(const StageOutbox&) = delete;
  StageOutbox& operator=(const StageOutbox&) = delete;

  void add(int fd) {
    try {
      batch_.push_back(fd);
    } catch (const std::bad_alloc&) {
      to_.add(fd);
    }
  }

 private:
  StageInbox& to_;
  std::vector<int> batch_;
};

// A pool of threads and the stage that feeds it. Only one of them is active: the stage waits while threads work.
// The stage does not wait for threads that wait for the disk. It cannot see which threads do, so it goes on 0.2 ms
// after the last item of the batch was taken. Items of threads that are still busy come back later.
// A thread that begins to work wakes the next, in case it blocks itself. So a batch that never blocks needs one thread,
// and a batch that always blocks gets the whole pool.
template <class Item>
class TurnPool {
 public:
  // most_items: that can be in the pool at once. Nothing is allocated after that.
  explicit TurnPool(std::size_t most_items) {
    untaken_.reserve(most_items);
    finished_.reserve(most_items);
  }

  // BLOCKS: until the pool has taken every item and is done with those that do not block. Replaces `done` by what is
  // done, of this batch and of earlier ones. REQUIRES: done has room for most_items.
  void run(const std::vector<Item>& batch, std::vector<Item>& done) {
    done.clear();
    std::unique_lock lock(mutex_);
    ++turn_;
    running_ = true;
    left_ = batch.size();
    for (const Item& item : batch) untaken_.push_back({item, turn_});
    wake_another();
    while (!done_.wait_for(lock, blocked_after, [&] { return left_ == 0; }) && any_untaken()) {
    }
    running_ = false;
    done.swap(finished_);
  }

  // Readable when something came back after the call of run() that handed it out.
  int fd() const { return wakeup_.fd(); }
  void take_late(std::vector<Item>& done) {
    done.clear();
    wakeup_.acknowledge();
    const std::lock_guard lock(mutex_);
    done.swap(finished_);
  }

  // Each thread of the pool: works off items for ever. BLOCKS: while there are none.
  template <class Work>
  [[noreturn]] void work(Work work_on) {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      begin_.wait(lock, [&] { return waking_ > 0 || any_untaken(); });
      if (waking_ > 0) --waking_;
      --idle_;
      while (any_untaken()) {
        auto [item, turn] = untaken_[next_untaken_++];
        if (next_untaken_ == untaken_.size()) {
          untaken_.clear();
          next_untaken_ = 0;
        }
        wake_another();
        lock.unlock();
        work_on(item);
        lock.lock();
        finished_.push_back(item);
        if (!running_) {
          wakeup_.notify();
        } else if (turn == turn_ && --left_ == 0) {
          done_.notify_one();
        }
      }
    }
  }

 private:
  static constexpr auto blocked_after = std::chrono::microseconds(200);

  struct Untaken {
    Item item;
    std::uint64_t turn;
  };

  bool any_untaken() const { return next_untaken_ < untaken_.size(); }
  void wake_another() {
    if (waking_ > 0 || idle_ == 0 || !any_untaken()) return;
    ++waking_;
    begin_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable begin_;
  std::condition_variable done_;
  std::vector<Untaken> untaken_;  // those before next_untaken_ are taken
  std::size_t next_untaken_ = 0;
  std::vector<Item> finished_;
  std::uint64_t turn_ = 0;
  bool running_ = false;
  std::size_t left_ = 0;  // of this turn's batch, not done
  std::size_t idle_ = 0;
  std::size_t waking_ = 0;  // threads told to work that have not yet begun to
  Wakeup wakeup_;
};

}  // namespace bakeoff
