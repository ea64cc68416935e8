#include "harness/load/waiting_arrivals.h"

#include <poll.h>

#include "tests/catch.h"

using namespace bakeoff;

namespace {

bool rings(const WaitingArrivals& waiting, std::uint32_t worker) {
  pollfd bell{waiting.bell(worker), POLLIN, 0};
  return ::poll(&bell, 1, 0) == 1;
}

}  // namespace

TEST_CASE("the arrival that has waited longest is taken first, until none is left") {
  WaitingArrivals waiting(1);
  REQUIRE(waiting.empty());
  REQUIRE_FALSE(waiting.take());
  for (std::int64_t i = 0; i < 100; ++i) REQUIRE(waiting.add(i));
  REQUIRE_FALSE(waiting.empty());
  for (std::int64_t i = 0; i < 100; ++i) REQUIRE(waiting.take() == i);
  REQUIRE_FALSE(waiting.take());
}

TEST_CASE("arrivals wait up to a bound, and one goes in for each that is taken") {
  WaitingArrivals waiting(1);
  std::int64_t added = 0;
  while (waiting.add(added)) ++added;
  REQUIRE(added > 10'000);
  REQUIRE(waiting.take() == 0);
  REQUIRE(waiting.add(added));
  REQUIRE_FALSE(waiting.add(added + 1));
  for (std::int64_t i = 1; i <= added; ++i) REQUIRE(waiting.take() == i);
  REQUIRE(waiting.empty());
}

TEST_CASE("a worker with a free connection is called, and no other") {
  WaitingArrivals waiting(3);
  waiting.ring();
  for (std::uint32_t worker = 0; worker < 3; ++worker) REQUIRE_FALSE(rings(waiting, worker));
  waiting.tell_free(1, true);
  waiting.ring();
  REQUIRE(rings(waiting, 1));
  REQUIRE_FALSE(rings(waiting, 0));
  REQUIRE_FALSE(rings(waiting, 2));
  waiting.tell_free(1, false);
  waiting.tell_free(0, true);
  waiting.tell_free(2, true);
  for (int i = 0; i < 3; ++i) waiting.ring();
  REQUIRE(rings(waiting, 0));
  REQUIRE(rings(waiting, 2));
}
