// The lecture notes' example ("Boss-worker vs Pipeline"): toy orders of six steps, made by six workers in two ways. The
// boss-worker way has one worker hand out orders and the others make whole ones; the pipeline gives each worker a step.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace bakeoff {

struct ToyOrders {
  int orders = 11;
  int workers = 6;  // the boss is one of them; a pipeline has as many as there are steps
  int steps = 6;
  std::chrono::milliseconds step{20};
};

enum class OrderWay : std::uint8_t { boss_worker, pipeline };

// When each order is done, in ms from the moment that all have come, if nothing but the steps takes time; ascending.
// REQUIRES: at least two workers; for the pipeline, as many as steps.
std::vector<std::int64_t> computed_completions_ms(OrderWay way, const ToyOrders& toys);

// The same by threads and queues, where a step is a wait; in ns. BLOCKS: for the whole time.
std::vector<std::int64_t> real_completions_ns(OrderWay way, const ToyOrders& toys);

}  // namespace bakeoff
