#include "harness/load/timers.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <vector>

#include "core/base/random.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {
std::vector<std::uint32_t> expired(TimeoutWheel& wheel, std::int64_t now_ns) {
  std::vector<std::uint32_t> ids;
  wheel.expire(now_ns, [&](std::uint32_t id) { ids.push_back(id); });
  return ids;
}
}  // namespace

TEST_CASE("a time-out is found after its deadline, at most a tick late, and once") {
  TimeoutWheel wheel(4, 10);
  wheel.set(1, 105);
  REQUIRE(expired(wheel, 104).empty());
  REQUIRE(expired(wheel, 115) == std::vector<std::uint32_t>{1});
  REQUIRE(expired(wheel, 500).empty());
}

TEST_CASE("a time-out can be moved either way and cleared") {
  TimeoutWheel wheel(4, 10);
  wheel.set(0, 1'000);
  wheel.set(0, 200);
  REQUIRE(expired(wheel, 210) == std::vector<std::uint32_t>{0});
  wheel.set(1, 300);
  wheel.set(1, 50'000);  // beyond one turn of the wheel
  REQUIRE(expired(wheel, 49'990).empty());
  REQUIRE(expired(wheel, 50'010) == std::vector<std::uint32_t>{1});
  wheel.set(2, 60'000);
  wheel.clear(2);
  REQUIRE(expired(wheel, 100'000).empty());
}

TEST_CASE("a clock that begins far from 0 or leaps loses no time-out") {
  TimeoutWheel wheel(4, 10);
  const std::int64_t start_ns = 1'000'000'000'000;
  wheel.set(3, start_ns + 500);
  REQUIRE(expired(wheel, start_ns).empty());
  REQUIRE(expired(wheel, start_ns + 10'000'000) == std::vector<std::uint32_t>{3});
}

TEST_CASE("the wheel agrees with a map under random use") {
  Random random(5);
  TimeoutWheel wheel(200, 7);
  std::map<std::uint32_t, std::int64_t> expected;
  std::int64_t now_ns = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::uint32_t id = random.below(200);
    if (random.below(4) == 0) {
      wheel.clear(id);
      expected.erase(id);
    } else {
      const std::int64_t deadline_ns = now_ns + 1 + random.below(20'000);
      wheel.set(id, deadline_ns);
      expected[id] = deadline_ns;
    }
    now_ns += random.below(50);
    for (const std::uint32_t found : expired(wheel, now_ns)) {
      REQUIRE(expected.count(found) == 1);
      REQUIRE(expected[found] <= now_ns);
      expected.erase(found);
    }
    for (const auto& [left, deadline_ns] : expected) REQUIRE(deadline_ns > now_ns - 7);
  }
}

TEST_CASE("a time-out costs nearly the same among 20,000 as among a few") {
  const auto used_ns = [] {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec);
  };
  const auto cost_ns = [&](std::uint32_t pending) {
    constexpr int moves = 100'000;
    double least = std::numeric_limits<double>::max();
    for (int round = 0; round < 5; ++round) {  // the least: others may take the processor in any of them
      TimeoutWheel wheel(pending, 15'000'000'000 / 64);
      std::int64_t now_ns = 0;
      for (std::uint32_t id = 0; id < pending; ++id) wheel.set(id, 15'000'000'000);
      const double begun_ns = used_ns();
      for (std::uint32_t i = 0; i < moves; ++i) {
        now_ns += 1'000'000;  // so that the wheel turns and comes by what was moved
        wheel.set(i % pending, now_ns + 15'000'000'000);
        wheel.expire(now_ns, [](std::uint32_t) {});
      }
      least = std::min(least, (used_ns() - begun_ns) / moves);
    }
    return least;
  };
  const double few_ns = cost_ns(20);
  const double many_ns = cost_ns(20'000);
  INFO(few_ns << " ns among 20, " << many_ns << " ns among 20,000");
  CHECK(many_ns < 200 * few_ns);  // a walk over all of them would take 1,000 times as long; caches take 50 at most
}

TEST_CASE("wake-ups come in order of time") {
  WakeQueue queue;
  REQUIRE(queue.next_ns() == never_ns);
  for (const std::int64_t at : {30, 10, 20, 10}) queue.push(at, static_cast<std::uint64_t>(at));
  std::vector<std::uint64_t> order;
  while (!queue.empty()) order.push_back(queue.pop());
  REQUIRE(order == std::vector<std::uint64_t>{10, 10, 20, 30});
}
