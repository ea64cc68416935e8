#include "core/stages/stage_controllers.h"

#include <cstdint>

#include "tests/catch.h"

using namespace bakeoff;

namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

// One decision's worth of windows, each with so many events.
Decision decide(BatchingController& controller, std::int64_t& now_ms, std::uint64_t& events,
                std::uint64_t each_window) {
  Decision decision = Decision::keep;
  for (int window = 0; window < 5; ++window) {
    now_ms += 1000;
    events += each_window;
    decision = controller.observe(now_ms, events);
    if (window < 4) CHECK(decision == Decision::keep);
  }
  return decision;
}

// A decision of the overload controller: 100 responses, ten of them `slow_ms` long.
Decision respond(OverloadController& controller, std::int64_t& now_ns, std::int64_t slow_ms) {
  Decision decision = Decision::keep;
  for (int i = 0; i < 100; ++i) {
    now_ns += 1'000'000;
    if (i > 0) CHECK(decision == Decision::keep);
    decision = controller.done(now_ns, (i % 10 == 0 ? slow_ms : 1) * 1'000'000);
  }
  return decision;
}

}  // namespace

TEST_CASE("a thread is added at every fourth look at a queue at or above the threshold", "[stage_controllers]") {
  ThreadPoolController controller(ThreadPoolController::Settings{});
  CHECK(controller.settings().sample_ms == 2000);
  for (int round = 0; round < 3; ++round) {
    for (int look = 0; look < 3; ++look) CHECK(controller.look(1000, 1) == Decision::keep);
    CHECK(controller.look(10, 1) == Decision::raise);
  }
  for (int look = 0; look < 3; ++look) CHECK(controller.look(1000, 1) == Decision::keep);
  CHECK(controller.look(9, 1) == Decision::keep);  // only the last look counts
}

TEST_CASE("the pool stays between its least and its most", "[stage_controllers]") {
  ThreadPoolController controller(ThreadPoolController::Settings{});
  int threads = 1;
  for (int look = 0; look < 4 * 100; ++look) threads += controller.look(1000, threads) == Decision::raise ? 1 : 0;
  CHECK(threads == 20);
  CHECK(controller.may_end(20));
  CHECK(controller.may_end(2));
  CHECK_FALSE(controller.may_end(1));
}

TEST_CASE("batches shrink while throughput holds", "[stage_controllers]") {
  std::int64_t now_ms = 5000;
  std::uint64_t events = 0;
  BatchingController controller(BatchingController::Settings{}, now_ms);
  CHECK(controller.limit() == 1000);
  CHECK(decide(controller, now_ms, events, 10'000) == Decision::lower);
  CHECK(controller.limit() == 833);
  // The smoothed throughput still rises towards what is measured: each decision is a new best, and never twice as much.
  CHECK(decide(controller, now_ms, events, 10'000) == Decision::lower);
  CHECK(controller.limit() == 694);
  for (int i = 0; i < 40; ++i) decide(controller, now_ms, events, 10'000);
  CHECK(controller.limit() == 2);
  CHECK(decide(controller, now_ms, events, 10'000) == Decision::keep);
}

TEST_CASE("batches grow when throughput falls, until it is back", "[stage_controllers]") {
  std::int64_t now_ms = 0;
  std::uint64_t events = 0;
  BatchingController controller(BatchingController::Settings{}, now_ms);
  for (int i = 0; i < 10; ++i) decide(controller, now_ms, events, 10'000);
  const std::size_t small = controller.limit();
  REQUIRE(small < 200);
  CHECK(decide(controller, now_ms, events, 7'000) == Decision::raise);  // below .9 of the best
  CHECK(decide(controller, now_ms, events, 7'000) == Decision::raise);
  const std::size_t larger = controller.limit();
  CHECK(larger > small);
  CHECK(decide(controller, now_ms, events, 10'000) == Decision::raise);  // on the way back, not yet at .98
  CHECK(decide(controller, now_ms, events, 10'000) == Decision::lower);
}

TEST_CASE("when the load changes altogether, batches begin at their largest again", "[stage_controllers]") {
  std::int64_t now_ms = 0;
  std::uint64_t events = 0;
  BatchingController controller(BatchingController::Settings{}, now_ms);
  for (int i = 0; i < 20; ++i) decide(controller, now_ms, events, 1'000);
  REQUIRE(controller.limit() < 50);
  CHECK(decide(controller, now_ms, events, 5'000) == Decision::raise);
  CHECK(controller.limit() == 833);  // the largest, and one step down from there
}

TEST_CASE("a larger batch than the largest is the best there is", "[stage_controllers]") {
  std::int64_t now_ms = 0;
  std::uint64_t events = 0;
  BatchingController controller(BatchingController::Settings{}, now_ms);
  for (int i = 0; i < 10; ++i) decide(controller, now_ms, events, 10'000);
  for (int i = 0; i < 40 && controller.limit() < 1000; ++i) decide(controller, now_ms, events, 8'000);
  REQUIRE(controller.limit() == 1000);
  CHECK(decide(controller, now_ms, events, 8'000) == Decision::lower);
}

TEST_CASE("admission begins with a full bucket and goes on at its rate", "[stage_controllers]") {
  std::int64_t now_ns = 7 * second_ns;
  OverloadController controller(OverloadController::Settings{}, now_ns);
  for (int i = 0; i < 10; ++i) CHECK(controller.admit(now_ns));
  CHECK_FALSE(controller.admit(now_ns));
  now_ns += second_ns / 20;  // half a token
  CHECK_FALSE(controller.admit(now_ns));
  CHECK_FALSE(controller.admit(now_ns - second_ns / 100));  // a clock read before the last one: nothing is taken back
  now_ns += second_ns / 20 + 1000;
  CHECK(controller.admit(now_ns));
  CHECK_FALSE(controller.admit(now_ns));
  now_ns += 1000 * second_ns;  // the bucket holds ten, however long nobody came
  for (int i = 0; i < 10; ++i) CHECK(controller.admit(now_ns));
  CHECK_FALSE(controller.admit(now_ns));
}

TEST_CASE("an admission that led nowhere is taken back", "[stage_controllers]") {
  const std::int64_t now_ns = 7 * second_ns;
  OverloadController controller(OverloadController::Settings{}, now_ns);
  controller.take_back_admission();  // the bucket holds no more than it can
  for (int i = 0; i < 10; ++i) CHECK(controller.admit(now_ns));
  CHECK_FALSE(controller.admit(now_ns));
  controller.take_back_admission();
  CHECK(controller.admit(now_ns));
  CHECK_FALSE(controller.admit(now_ns));
}

TEST_CASE("more than a thousand a second can be admitted", "[stage_controllers]") {
  OverloadController::Settings settings;
  settings.first_per_s = 5000;
  std::int64_t now_ns = 0;
  OverloadController controller(settings, now_ns);
  int admitted = 0;
  for (int i = 0; i < 10'000; ++i) {
    now_ns += second_ns / 10'000;
    admitted += controller.admit(now_ns) ? 1 : 0;
  }
  CHECK(admitted >= 4999);
  CHECK(admitted <= 5010);
}

TEST_CASE("the rate goes up by a half while responses are fast, and is halved when they are slow",
          "[stage_controllers]") {
  std::int64_t now_ns = 0;
  OverloadController controller(OverloadController::Settings{}, now_ns);
  CHECK(controller.rate_per_s() == 10);
  CHECK(respond(controller, now_ns, 100) == Decision::raise);
  CHECK(controller.rate_per_s() == 10.5);
  CHECK(controller.percentile_ms() == Approx(30));  // .7 of nothing and .3 of 100 ms
  CHECK(respond(controller, now_ns, 100) == Decision::raise);
  CHECK(controller.percentile_ms() == Approx(51));
  CHECK(respond(controller, now_ns, 3400) == Decision::keep);  // .7 * 51 + .3 * 3400: between the waters
  CHECK(controller.rate_per_s() == 11);
  CHECK(respond(controller, now_ns, 3400) == Decision::lower);
  CHECK(controller.rate_per_s() == 5.5);
  for (int i = 0; i < 20; ++i) respond(controller, now_ns, 3400);
  CHECK(controller.rate_per_s() == 0.05);
  CHECK(respond(controller, now_ns, 3400) == Decision::keep);
}

TEST_CASE("the rate has an upper bound", "[stage_controllers]") {
  OverloadController::Settings settings;
  settings.first_per_s = 4999.8;
  std::int64_t now_ns = 0;
  OverloadController controller(settings, now_ns);
  CHECK(respond(controller, now_ns, 1) == Decision::raise);
  CHECK(controller.rate_per_s() == 5000);
  CHECK(respond(controller, now_ns, 1) == Decision::keep);
}

TEST_CASE("a second is enough for a decision, however few responses it had", "[stage_controllers]") {
  std::int64_t now_ns = 0;
  OverloadController controller(OverloadController::Settings{}, now_ns);
  CHECK(controller.done(now_ns + second_ns - 1, 1'000'000) == Decision::keep);
  CHECK(controller.done(now_ns + second_ns, 1'000'000) == Decision::raise);
  CHECK(controller.done(now_ns + second_ns + 1, 1'000'000) == Decision::keep);
}
