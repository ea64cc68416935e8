#include "harness/micro/toy_orders.h"

#include <numeric>

#include "tests/catch.h"
#include "tests/support/clock.h"

using namespace bakeoff;

namespace {

double mean(const std::vector<std::int64_t>& values) {
  return static_cast<double>(std::accumulate(values.begin(), values.end(), std::int64_t{0})) /
         static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("boss and workers make eleven orders in 360 ms, one in 196 ms on average") {
  const auto done = computed_completions_ms(OrderWay::boss_worker, {});
  CHECK(done == std::vector<std::int64_t>{120, 120, 120, 120, 120, 240, 240, 240, 240, 240, 360});
  CHECK(static_cast<int>(mean(done)) == 196);
}

TEST_CASE("a pipeline makes eleven orders in 320 ms, one in 220 ms on average") {
  const auto done = computed_completions_ms(OrderWay::pipeline, {});
  CHECK(done.front() == 120);
  CHECK(done.back() == 320);
  CHECK(mean(done) == 220);
}

TEST_CASE("other numbers of orders reverse the conclusion") {
  // Ten orders fill five workers twice: the boss's way wins by both metrics.
  const ToyOrders ten{.orders = 10};
  CHECK(computed_completions_ms(OrderWay::boss_worker, ten).back() == 240);
  CHECK(computed_completions_ms(OrderWay::pipeline, ten).back() == 300);
}

TEST_CASE("threads and queues take what was computed, and no less") {
  for (const OrderWay way : {OrderWay::boss_worker, OrderWay::pipeline}) {
    const ToyOrders toys{.step = std::chrono::milliseconds(4)};
    const auto computed = computed_completions_ms(way, toys);
    const auto real = real_completions_ns(way, toys);
    REQUIRE(real.size() == computed.size());
    for (std::size_t i = 0; i < real.size(); ++i) CHECK(real[i] >= computed[i] * 1'000'000);
    CHECK(real.back() < test::patience_ms * std::int64_t{1'000'000});
  }
}
