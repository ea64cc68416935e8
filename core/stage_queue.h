// A bounded queue between threads: between a boss and its pool, or between two stages (SEDA's event queue).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

namespace bakeoff {

template <class T>
class StageQueue {
 public:
  // bound: the most items held; 0 for none.
  explicit StageQueue(std::size_t bound) : bound_(bound) {}

  // BLOCKS: lock; and while the queue is full.
  void push(T item);

  // Does not wait: false, and `item` untouched, when the queue is full.
  bool try_push(T& item);

  // BLOCKS: until there is an item; nothing once close() was called and the queue is empty.
  std::optional<T> pop();

  // BLOCKS: as pop; takes all that is there, up to `most`. Empty once closed and drained.
  std::vector<T> pop_batch(std::size_t most);

  // Wakes everybody; later pushes are refused (push throws std::logic_error, try_push returns false).
  void close();

  std::size_t size() const;
};

}  // namespace bakeoff
