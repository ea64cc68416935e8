// A bounded queue between threads: between a boss and its pool, or between two stages (SEDA's event queue).
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <iterator>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace bakeoff {

template <class T>
class BlockingQueue {
 public:
  // bound: the most items held; 0 for none.
  explicit BlockingQueue(std::size_t bound) : bound_(bound) {}

  // BLOCKS: lock; and while the queue is full. Returns how many items it found waiting.
  std::size_t push(T item) {
    std::size_t waiting;
    {
      std::unique_lock lock(mutex_);
      has_room_.wait(lock, [this] { return closed_ || !full(); });
      if (closed_) throw std::logic_error("push to a closed blocking queue");
      waiting = items_.size();
      items_.push_back(std::move(item));
    }
    has_items_.notify_one();
    return waiting;
  }

  // BLOCKS: lock. Does not wait for room: false, and `item` untouched, when the queue is full.
  bool try_push(T& item) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || full()) return false;
      items_.push_back(std::move(item));
    }
    has_items_.notify_one();
    return true;
  }

  // BLOCKS: lock. Whether there is room or not: for what has to go on because it can no longer be refused.
  void push_past_bound(T item) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) throw std::logic_error("push to a closed blocking queue");
      items_.push_back(std::move(item));
    }
    has_items_.notify_one();
  }

  // BLOCKS: until there is an item; nothing once close() was called and the queue is empty.
  std::optional<T> pop() {
    std::optional<T> item;
    {
      std::unique_lock lock(mutex_);
      has_items_.wait(lock, [this] { return closed_ || !items_.empty(); });
      if (items_.empty()) return item;
      item.emplace(std::move(items_.front()));
      items_.pop_front();
    }
    if (bound_ != 0) has_room_.notify_one();
    return item;
  }

  // BLOCKS: as pop; takes all that is there, up to `most`. Empty once closed and drained. REQUIRES: most > 0.
  std::vector<T> pop_batch(std::size_t most) {
    std::vector<T> batch;
    {
      std::unique_lock lock(mutex_);
      has_items_.wait(lock, [this] { return closed_ || !items_.empty(); });
      take(most, batch);
    }
    if (bound_ != 0) has_room_.notify_all();
    return batch;
  }

  // BLOCKS: as pop_batch, but no longer than `patience`. Replaces what is in `batch`, and returns how many items were
  // queued when it was taken; 0: the time has passed.
  std::size_t pop_batch_within(std::chrono::milliseconds patience, std::size_t most, std::vector<T>& batch) {
    batch.clear();
    std::size_t queued = 0;
    {
      std::unique_lock lock(mutex_);
      has_items_.wait_for(lock, patience, [this] { return closed_ || !items_.empty(); });
      queued = items_.size();
      take(most, batch);
    }
    if (bound_ != 0 && queued > 0) has_room_.notify_all();
    return queued;
  }

  // Wakes everybody; later pushes are refused (push throws std::logic_error, try_push returns false).
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    has_items_.notify_all();
    has_room_.notify_all();
  }

  // BLOCKS: lock.
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  void take(std::size_t most, std::vector<T>& batch) {
    const auto end = items_.begin() + static_cast<std::ptrdiff_t>(std::min(most, items_.size()));
    batch.assign(std::make_move_iterator(items_.begin()), std::make_move_iterator(end));
    items_.erase(items_.begin(), end);
  }
  bool full() const { return bound_ != 0 && items_.size() >= bound_; }

  const std::size_t bound_;
  mutable std::mutex mutex_;
  std::condition_variable has_items_;
  std::condition_variable has_room_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace bakeoff
