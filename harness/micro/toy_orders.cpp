#include "harness/micro/toy_orders.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "core/base/check.h"
#include "core/sharing/blocking_queue.h"

namespace bakeoff {
namespace {

using std::chrono::steady_clock;

void check(OrderWay way, const ToyOrders& toys) {
  BAKEOFF_CHECK(toys.orders > 0 && toys.steps > 0 && toys.workers > 1);
  BAKEOFF_CHECK(way == OrderWay::boss_worker || toys.workers == toys.steps);
}

}  // namespace

std::vector<std::int64_t> computed_completions_ms(OrderWay way, const ToyOrders& toys) {
  check(way, toys);
  const std::int64_t step_ms = toys.step.count();
  std::vector<std::int64_t> done;
  // When each worker is free again; the boss takes no time.
  std::vector<std::int64_t> free_ms(
      static_cast<std::size_t>(way == OrderWay::pipeline ? toys.steps : toys.workers - 1));
  for (int order = 0; order < toys.orders; ++order) {
    std::int64_t now_ms = 0;
    if (way == OrderWay::pipeline) {
      for (std::int64_t& stage : free_ms) now_ms = stage = std::max(now_ms, stage) + step_ms;
    } else {
      const auto next = std::min_element(free_ms.begin(), free_ms.end());
      now_ms = *next += toys.steps * step_ms;
    }
    done.push_back(now_ms);
  }
  std::sort(done.begin(), done.end());
  return done;
}

std::vector<std::int64_t> real_completions_ns(OrderWay way, const ToyOrders& toys) {
  check(way, toys);
  using Orders = BlockingQueue<int>;
  // Queue 0 holds the orders; in a pipeline queue n those that have n steps behind them.
  const int queue_count = way == OrderWay::pipeline ? toys.steps : 1;
  std::vector<std::unique_ptr<Orders>> queues;
  for (int i = 0; i < queue_count; ++i) queues.push_back(std::make_unique<Orders>(0));
  std::mutex done_mutex;
  std::vector<std::int64_t> done;
  const steady_clock::time_point begun = steady_clock::now();
  const auto finish = [&] {
    const std::lock_guard lock(done_mutex);
    done.push_back(std::chrono::nanoseconds(steady_clock::now() - begun).count());
  };
  std::vector<std::thread> workers;
  const int makers = way == OrderWay::pipeline ? toys.steps : toys.workers - 1;
  for (int number = 0; number < makers; ++number) {
    workers.emplace_back([&, number] {
      Orders& mine = *queues[way == OrderWay::pipeline ? static_cast<std::size_t>(number) : 0];
      Orders* const next = number + 1 < queue_count ? queues[static_cast<std::size_t>(number) + 1].get() : nullptr;
      while (const std::optional<int> order = mine.pop()) {
        std::this_thread::sleep_for(way == OrderWay::pipeline ? toys.step : toys.steps * toys.step);
        if (next != nullptr) {
          next->push(*order);
        } else {
          finish();
        }
      }
      if (next != nullptr) next->close();  // what has come is passed on
    });
  }
  for (int order = 0; order < toys.orders; ++order) queues[0]->push(order);  // the boss
  queues[0]->close();
  for (std::thread& worker : workers) worker.join();
  std::sort(done.begin(), done.end());
  return done;
}

}  // namespace bakeoff
