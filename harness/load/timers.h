// The wake-ups of a load client, few and exact. Times are in ns of the caller's clock; nothing here reads one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace bakeoff {

constexpr std::int64_t never_ns = std::numeric_limits<std::int64_t>::max();

// Exact wake-ups in order of time; none is ever cancelled, so a token may come back after its reason has gone.
class WakeQueue {
 public:
  void push(std::int64_t at_ns, std::uint64_t token) {
    heap_.push_back({at_ns, token});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  std::int64_t next_ns() const { return heap_.empty() ? never_ns : heap_.front().at_ns; }
  bool empty() const { return heap_.empty(); }
  // REQUIRES: not empty.
  std::uint64_t pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const std::uint64_t token = heap_.back().token;
    heap_.pop_back();
    return token;
  }

 private:
  struct Wake {
    std::int64_t at_ns;
    std::uint64_t token;
  };
  static bool later(const Wake& a, const Wake& b) { return a.at_ns > b.at_ns; }
  std::vector<Wake> heap_;
};

}  // namespace bakeoff
