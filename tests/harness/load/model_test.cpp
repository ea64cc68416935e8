#include "harness/load/model.h"

#include <map>

#include "tests/catch.h"
#include "tests/support/clock.h"

using namespace bakeoff;
using bakeoff::test::second_ns;

namespace {
using Kind = Action::Kind;
}  // namespace

TEST_CASE("a closed loop sends at once, together, and closes when it is time") {
  ClosedModel plain({}, 2, Random(1));
  REQUIRE(plain.next(0, 7).kind == Kind::send);
  REQUIRE(plain.next(0, 8).at_ns == 8);
  REQUIRE_FALSE(plain.next(0, 9).close_after);
  REQUIRE(plain.opens_first());

  ClosedModel five({5, 2, {}}, 2, Random(1));
  REQUIRE_FALSE(five.opens_first());
  REQUIRE(five.next(0, 0).count == 2);
  REQUIRE(five.next(1, 0).count == 2);
  REQUIRE_FALSE(five.next(0, 0).close_after);
  const Action last = five.next(0, 0);
  REQUIRE(last.count == 1);
  REQUIRE(last.close_after);
  REQUIRE(five.next(0, 0).count == 2);
  five.failed(1, 1, 0);  // a new connection begins to count anew
  five.next(1, 0);
  five.next(1, 0);
  REQUIRE(five.next(1, 0).close_after);
}

TEST_CASE("a closed loop with thinking pauses after each reply, and does not begin in step") {
  ClosedModel model({0, 1, Distribution::constant(2)}, 100, Random(1));
  double sum_s = 0;
  for (std::uint32_t slot = 0; slot < 100; ++slot) {
    const Action action = model.next(slot, 0);
    REQUIRE(action.kind == Kind::wait);
    REQUIRE(action.at_ns < 2 * second_ns);
    sum_s += static_cast<double>(action.at_ns) * 1e-9;
  }
  REQUIRE(sum_s / 100 == Approx(1).margin(0.2));
  REQUIRE(model.next(0, 5).kind == Kind::send);
  const Action pause = model.next(0, 10);
  REQUIRE(pause.kind == Kind::wait);
  REQUIRE(pause.at_ns == 10 + 2 * second_ns);
  REQUIRE(model.next(0, pause.at_ns).kind == Kind::send);
}

TEST_CASE("an open loop keeps the scheduled time of what could not be sent") {
  OpenModel model(Schedule(RateProfile({{1, 10, 10}}), Arrivals::fixed, Random(1)), false);
  model.begin(0);
  REQUIRE(model.next(0, 0).kind == Kind::park);
  REQUIRE(model.next_due_ns() == second_ns / 10);
  // Nobody was free for half a second: five arrivals wait, each with its own time.
  for (int i = 1; i <= 5; ++i) {
    const Action action = model.next(0, second_ns / 2);
    REQUIRE(action.kind == Kind::send);
    REQUIRE(action.at_ns == Approx(i * second_ns / 10));
  }
  REQUIRE(model.next(0, second_ns / 2).kind == Kind::park);
}

TEST_CASE("a session is bursts with pauses between and within, on one connection") {
  ClientModel clients;
  clients.requests_per_session = Distribution::constant(5);
  clients.requests_per_burst = Distribution::constant(2);
  clients.inactive_off_s = Distribution::constant(3);
  clients.active_off_s = Distribution::constant(0.343);
  SessionModel model(clients, Schedule(RateProfile({{1, 1, 1}}), Arrivals::fixed, Random(1)), 3, Random(2));
  model.begin(0);
  REQUIRE(model.next(0, 0).kind == Kind::park);
  const std::int64_t start_ns = second_ns + 50;
  Action action = model.next(0, start_ns);
  REQUIRE(action.kind == Kind::send);
  REQUIRE(action.at_ns == second_ns);
  std::int64_t now_ns = start_ns;
  const std::vector<double> pauses_s = {0.343, 3, 0.343, 3};
  for (const double pause_s : pauses_s) {
    REQUIRE_FALSE(action.close_after);
    action = model.next(0, now_ns);
    REQUIRE(action.kind == Kind::wait);
    REQUIRE(action.at_ns == now_ns + static_cast<std::int64_t>(pause_s * 1e9));
    now_ns = action.at_ns;
    action = model.next(0, now_ns);
    REQUIRE(action.kind == Kind::send);
  }
  REQUIRE(action.close_after);
  REQUIRE(model.sessions().completed == 0);
  model.next(0, now_ns);
  REQUIRE(model.sessions().completed == 1);
}

TEST_CASE("a session that fails is over, and the slot takes the next one") {
  ClientModel clients;
  clients.requests_per_session = Distribution::constant(5);
  SessionModel model(clients, std::nullopt, 1, Random(2));
  model.begin(0);
  REQUIRE(model.next(0, 0).kind == Kind::send);
  REQUIRE(model.next(0, 0).kind == Kind::send);
  model.failed(0, 1, 0);
  REQUIRE(model.sessions().failed == 1);
  REQUIRE(model.next(0, 0).kind == Kind::send);
  REQUIRE(model.sessions().started == 2);
  for (int i = 0; i < 3; ++i) REQUIRE_FALSE(model.next(0, 0).close_after);
  REQUIRE(model.next(0, 0).close_after);
}
