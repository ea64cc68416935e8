#include "harness/load/timers.h"

#include <vector>

#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("wake-ups come in order of time") {
  WakeQueue queue;
  REQUIRE(queue.next_ns() == never_ns);
  for (const std::int64_t at : {30, 10, 20, 10}) queue.push(at, static_cast<std::uint64_t>(at));
  std::vector<std::uint64_t> order;
  while (!queue.empty()) order.push_back(queue.pop());
  REQUIRE(order == std::vector<std::uint64_t>{10, 10, 20, 30});
}
