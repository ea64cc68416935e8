#include "core/sharing/blocking_queue.h"

#include <atomic>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/catch.h"

using bakeoff::BlockingQueue;

TEST_CASE("a blocking queue gives items in the order they came", "[blocking_queue]") {
  BlockingQueue<int> queue(0);
  for (int i = 0; i < 5; ++i) queue.push(i);
  CHECK(queue.size() == 5);
  CHECK(queue.pop() == 0);
  CHECK(queue.pop_batch(2) == std::vector<int>{1, 2});
  CHECK(queue.pop_batch(100) == std::vector<int>{3, 4});
  CHECK(queue.size() == 0);
}

TEST_CASE("a full blocking queue refuses, and leaves the item to its owner", "[blocking_queue]") {
  BlockingQueue<std::unique_ptr<int>> queue(2);
  auto one = std::make_unique<int>(1);
  auto two = std::make_unique<int>(2);
  auto three = std::make_unique<int>(3);
  CHECK(queue.try_push(one));
  CHECK(queue.try_push(two));
  CHECK_FALSE(queue.try_push(three));
  CHECK(one == nullptr);
  REQUIRE(three != nullptr);
  CHECK(**queue.pop() == 1);
  CHECK(queue.try_push(three));
  CHECK(**queue.pop() == 2);
  CHECK(**queue.pop() == 3);
}

TEST_CASE("a closed blocking queue is drained, then ends; pushes are refused", "[blocking_queue]") {
  BlockingQueue<int> queue(4);
  queue.push(1);
  queue.push(2);
  queue.close();
  int item = 3;
  CHECK_FALSE(queue.try_push(item));
  CHECK_THROWS_AS(queue.push(3), std::logic_error);
  CHECK(queue.pop() == 1);
  CHECK(queue.pop_batch(10) == std::vector<int>{2});
  CHECK_FALSE(queue.pop().has_value());
  CHECK(queue.pop_batch(10).empty());
}

TEST_CASE("close wakes who waits for an item and who waits for room", "[blocking_queue]") {
  BlockingQueue<int> empty(0);
  BlockingQueue<int> full(1);
  full.push(1);
  std::atomic<int> ended{0};
  std::atomic<int> refused{0};
  std::thread popper([&] { ended += !empty.pop().has_value(); });
  std::thread batch_popper([&] { ended += empty.pop_batch(8).empty(); });
  std::thread pusher([&] {
    try {
      full.push(2);
    } catch (const std::logic_error&) {
      ++refused;
    }
  });
  empty.close();
  full.close();
  popper.join();
  batch_popper.join();
  pusher.join();
  CHECK(ended == 2);
  CHECK(refused == 1);
}

TEST_CASE("every item pushed by many threads is popped once, within the bound", "[blocking_queue]") {
  const std::size_t bound = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{7});
  constexpr int producers = 3;
  constexpr int consumers = 3;
  constexpr int per_producer = 2000;
  BlockingQueue<int> queue(bound);
  std::atomic<bool> within_bound{true};
  std::vector<std::vector<int>> taken(consumers);

  std::vector<std::thread> consuming;
  for (int c = 0; c < consumers; ++c) {
    consuming.emplace_back([&, c] {
      auto& mine = taken[static_cast<std::size_t>(c)];
      if (c == 0) {
        while (const auto item = queue.pop()) mine.push_back(*item);
        return;
      }
      for (;;) {
        const std::vector<int> batch = queue.pop_batch(5);
        if (batch.empty()) return;
        if (batch.size() > 5 || (bound != 0 && batch.size() > bound)) within_bound = false;
        mine.insert(mine.end(), batch.begin(), batch.end());
      }
    });
  }
  std::vector<std::thread> producing;
  for (int p = 0; p < producers; ++p) {
    producing.emplace_back([&, p] {
      for (int i = 0; i < per_producer; ++i) {
        int item = p * per_producer + i;
        if (i % 2 == 0 || !queue.try_push(item)) queue.push(item);
        if (bound != 0 && queue.size() > bound) within_bound = false;
      }
    });
  }
  for (auto& thread : producing) thread.join();
  queue.close();
  for (auto& thread : consuming) thread.join();

  CHECK(within_bound);
  std::vector<int> times_taken(producers * per_producer, 0);
  for (const auto& items : taken) {
    for (const int item : items) ++times_taken.at(static_cast<std::size_t>(item));
  }
  CHECK(times_taken == std::vector<int>(producers * per_producer, 1));
}

TEST_CASE("a batch is waited for no longer than patience lasts", "[blocking_queue]") {
  BlockingQueue<int> queue(0);
  std::vector<int> batch = {7};
  CHECK(queue.pop_batch_within(std::chrono::milliseconds(1), 10, batch) == 0);
  CHECK(batch.empty());
  for (int i = 0; i < 5; ++i) queue.push(i);
  CHECK(queue.pop_batch_within(std::chrono::hours(1), 3, batch) == 5);  // what there was, of which three were taken
  CHECK(batch == std::vector<int>{0, 1, 2});
  CHECK(queue.pop_batch_within(std::chrono::hours(1), 3, batch) == 2);
  CHECK(batch == std::vector<int>{3, 4});
}

TEST_CASE("what can no longer be refused goes past the bound", "[blocking_queue]") {
  BlockingQueue<int> queue(1);
  queue.push(1);
  int two = 2;
  CHECK_FALSE(queue.try_push(two));
  queue.push_past_bound(3);
  CHECK(queue.size() == 2);
  CHECK(queue.pop() == 1);
  CHECK_FALSE(queue.try_push(two));  // still full
  CHECK(queue.pop() == 3);
  CHECK(queue.try_push(two));
}
