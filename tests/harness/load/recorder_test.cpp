#include "harness/load/recorder.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("only what falls into the window counts, by the time of its end") {
  Recorder recorder(2, 1, false);
  recorder.set_window(100, 200);
  recorder.replied(0, 0, {80, 80}, 10, false, 99);  // before
  recorder.replied(0, 0, {90, 90}, 10, true, 110);  // straddles the start
  recorder.replied(1, 0, {120, 120}, 10, false, 150);
  recorder.replied(1, 0, {190, 190}, 10, false, 200);  // after
  recorder.received(500, 150);
  recorder.received(500, 250);
  recorder.unfinished(180);
  REQUIRE(recorder.replies() == 2);
  REQUIRE(recorder.verified_replies() == 1);
  REQUIRE(recorder.body_bytes() == 20);
  REQUIRE(recorder.received_bytes() == 500);
  REQUIRE(recorder.in_flight_at_end() == 1);
  // Time in flight within the window: 10 + 30 + 10 + 20.
  REQUIRE(recorder.busy_s() == Approx(70e-9));
  REQUIRE(recorder.from_send().count() == 2);
  REQUIRE(recorder.from_send().max_ns() == 30);
}

TEST_CASE("with a schedule of its own, latency counts from the schedule, and the lag is kept beside it") {
  Recorder recorder(1, 1, true);
  recorder.set_window(0, 1'000'000);
  recorder.replied(0, 0, {1'000, 4'000}, 10, false, 9'000);
  REQUIRE(recorder.from_schedule().max_ns() == 8'000);
  REQUIRE(recorder.from_send().max_ns() == 5'000);
  REQUIRE(recorder.send_lag().max_ns() == 3'000);
}

TEST_CASE("errors are counted by their cause, time-outs also by class") {
  Recorder recorder(1, 2, false);
  recorder.set_window(0, 1'000);
  recorder.failed(1, 10, LoadError::timeout, 500);
  recorder.failed(1, 10, LoadError::reset, 500);
  recorder.failed(0, 10, LoadError::reset, 2'000);
  REQUIRE(recorder.errors() == 2);
  REQUIRE(recorder.errors(LoadError::timeout) == 1);
  REQUIRE(recorder.errors(LoadError::reset) == 1);
  REQUIRE(recorder.classes()[1].timeouts == 1);
  REQUIRE(recorder.classes()[0].timeouts == 0);
}

TEST_CASE("requests before the window are counted for the server's whole life alone") {
  Recorder recorder(1, 1, false);
  recorder.attempted(0, 0, 10);
  recorder.set_window(1'000, 2'000);
  recorder.attempted(0, 0, 1'500);
  recorder.attempted(0, 0, 2'500);
  REQUIRE(recorder.attempts_in_all() == 3);
  REQUIRE(recorder.classes()[0].attempts == 1);
  Recorder merged(0, 1, false);
  merged.merge(Recorder::from_json(recorder.to_json()));
  merged.merge(recorder);
  REQUIRE(merged.attempts_in_all() == 6);
}

TEST_CASE("merged recorders add up, and keep their slots apart") {
  Recorder all(0, 1, false), first(1, 1, false), second(2, 1, false);
  first.set_window(0, 1'000);
  second.set_window(0, 1'000);
  first.replied(0, 0, {1, 1}, 5, false, 10);
  second.replied(1, 0, {1, 1}, 5, false, 20);
  second.failed(0, 1, LoadError::other, 30);
  all.merge(first);
  all.merge(second);
  REQUIRE(all.replies() == 2);
  REQUIRE(all.errors(LoadError::other) == 1);
  REQUIRE(all.slots().size() == 3);
  REQUIRE(all.starved_slots() == 1);
  REQUIRE(jain_index(all.slots()) == Approx(2.0 / 3));
}

TEST_CASE("by a schedule a connection that nothing was asked of is not starved") {
  for (const bool own_schedule : {false, true}) {
    CAPTURE(own_schedule);
    Recorder recorder(5, 1, own_schedule);
    recorder.set_window(1'000, 2'000);
    recorder.attempted(1, 0, 500);  // before the window, and still without its reply
    recorder.attempted(2, 0, 600);
    recorder.replied(2, 0, {600, 600}, 5, false, 700);  // then nothing
    recorder.attempted(3, 0, 1'100);
    recorder.replied(3, 0, {1'100, 1'100}, 5, false, 1'200);
    recorder.attempted(4, 0, 1'300);
    CHECK(recorder.starved_slots() == (own_schedule ? 2 : 4));
    CHECK(Recorder::from_json(recorder.to_json()).starved_slots() == recorder.starved_slots());
  }
}

TEST_CASE("Jain's index is 1 for equals and 1/n for one who has all") {
  std::vector<SlotTally> slots(4);
  REQUIRE(jain_index(slots) == 1);
  slots[2].replies = 9;
  REQUIRE(jain_index(slots) == Approx(0.25));
  for (SlotTally& slot : slots) slot.replies = 9;
  REQUIRE(jain_index(slots) == Approx(1));
}
