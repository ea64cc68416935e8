#include "core/stages/stage.h"

#include <atomic>
#include <latch>
#include <memory>
#include <vector>

#include "tests/catch.h"
#include "tests/core/server_bench.h"
#include "tests/support/clock.h"

using namespace bakeoff;
using namespace bakeoff::test;

namespace {

// The stage goes first: its threads end before what they work on.
struct StageBench {
  StageBench(const Stage::Settings& settings, Stage::Handler handler)
      : stage(bench.server, settings, std::move(handler)) {
    for (int i = 0; i < 64; ++i) lines.push_back(std::make_unique<Line>(bench));
    stage.start();
  }
  Connection& connection(std::size_t i) { return lines.at(i)->connection(); }

  Bench bench;
  std::vector<std::unique_ptr<Line>> lines;
  Stage stage;
};

}  // namespace

TEST_CASE("a stage hands its events to its handler in batches, in their order", "[stage]") {
  std::latch first_came(1);
  std::latch may_go_on(1);
  std::vector<std::vector<Connection*>> taken;
  std::atomic<std::size_t> handled = 0;
  StageBench stage({.queue_bound = 100, .most_at_once = 5}, [&](Worker&, Stage::Batch& batch) {
    if (taken.empty()) {
      first_came.count_down();
      may_go_on.wait();
    }
    taken.emplace_back();
    for (const Stage::Event& event : batch) taken.back().push_back(event.connection);
    handled += batch.size();
  });
  stage.stage.push(stage.connection(0));
  first_came.wait();
  for (std::size_t i = 1; i <= 8; ++i) stage.stage.push(stage.connection(i));
  may_go_on.count_down();
  REQUIRE(eventually([&] { return handled == 9; }));
  REQUIRE(taken.size() == 3);
  CHECK(taken[0].size() == 1);
  CHECK(taken[1].size() == 5);
  CHECK(taken[2].size() == 3);
  std::size_t next = 0;
  for (const auto& batch : taken) {
    for (Connection* const connection : batch) CHECK(connection == &stage.connection(next++));
  }
}

TEST_CASE("a full stage refuses what may be refused, and takes what may not", "[stage]") {
  std::atomic<int> came = 0;
  std::latch may_go_on(1);
  StageBench stage({.most_threads = 2, .all_at_start = true, .queue_bound = 3, .most_at_once = 1},
                   [&](Worker&, Stage::Batch&) {
                     ++came;
                     may_go_on.wait();
                   });
  for (std::size_t i = 0; i < 2; ++i) CHECK(stage.stage.try_push(stage.connection(i)));
  REQUIRE(eventually([&] { return came == 2; }));  // both threads have one
  for (std::size_t i = 2; i < 5; ++i) CHECK(stage.stage.try_push(stage.connection(i)));
  CHECK_FALSE(stage.stage.try_push(stage.connection(5)));
  stage.stage.push_past_bound(stage.connection(6));
  may_go_on.count_down();
  CHECK(eventually([&] { return came == 6; }));
}

TEST_CASE("a stage under overload control admits as many as its bucket holds", "[stage]") {
  std::atomic<int> came = 0;
  StageBench stage({.queue_bound = 1000, .overload_target_ms = 1000},
                   [&](Worker&, Stage::Batch& batch) { came += static_cast<int>(batch.size()); });
  int admitted = 0;
  const std::int64_t begun_ms = test::now_ms();
  for (std::size_t i = 0; i < 64; ++i) admitted += stage.stage.try_push(stage.connection(i)) ? 1 : 0;
  CHECK(admitted >= 10);
  CHECK(static_cast<double>(admitted) <= 10 + static_cast<double>(test::now_ms() - begun_ms + 10) * 0.01);
  CHECK(eventually([&] { return came == admitted; }));
}

TEST_CASE("a full queue costs a stage none of its admissions", "[stage]") {
  std::atomic<int> came = 0;
  std::latch may_go_on(1);
  // One event in hand, one in the queue; the bucket holds ten, and gets a hundredth of one more a millisecond.
  StageBench stage({.most_threads = 1, .queue_bound = 1, .most_at_once = 1, .overload_target_ms = 1000},
                   [&](Worker&, Stage::Batch&) {
                     if (++came == 1) may_go_on.wait();
                   });
  REQUIRE(stage.stage.try_push(stage.connection(0)));
  REQUIRE(eventually([&] { return came == 1; }));
  REQUIRE(stage.stage.try_push(stage.connection(1)));
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(stage.stage.try_push(stage.connection(2)));
  may_go_on.count_down();
  REQUIRE(eventually([&] { return came == 2; }));
  CHECK(stage.stage.try_push(stage.connection(2)));
  REQUIRE(eventually([&] { return came == 3; }));
}
