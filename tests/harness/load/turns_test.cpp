// A run in turns: between them nothing is asked for, and the run's clock stands still.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "core/base/errors.h"
#include "harness/load/report.h"
#include "tests/harness/load/runs.h"

using namespace bakeoff;

namespace {

constexpr std::int64_t pause_ns = 30'000'000;

// Begins each turn as the last one ends, after a pause; notes what the server had been asked for before and after it.
struct Harness {
  SharedWord begun{0};
  std::vector<std::uint32_t> rests;
  std::vector<int> asked_at_rest, asked_after_pause;

  LoadWatcher watcher(const ScriptedServer& server) {
    LoadWatcher watcher;
    watcher.rests = [this, &server](std::uint32_t turns) {
      rests.push_back(turns);
      asked_at_rest.push_back(server.requests());
      std::this_thread::sleep_for(std::chrono::nanoseconds(pause_ns));
      asked_after_pause.push_back(server.requests());
      begun = turns + 1;
    };
    return watcher;
  }
};

LoadSpec spec_in_turns(const ScriptedServer& server, std::uint32_t turns, const Harness& harness) {
  LoadSpec spec = spec_for(server.url());
  spec.turns = turns;
  spec.turns_begun = &harness.begun;
  return spec;
}

const ScriptedServer::Script replies = [](Conversation& talk) {
  while (!talk.request().empty()) talk.say(reply_with("hello"));
};

}  // namespace

TEST_CASE("in turns nothing is under way between two turns, and that time is no part of the run") {
  for (const std::uint32_t workers : {1u, 2u}) {
    ScriptedServer server(replies);
    Harness harness;
    LoadSpec spec = spec_in_turns(server, 4, harness);
    spec.threads = workers;
    const std::atomic<bool> stop{false};
    const LoadResult result = run_load(spec, stop, harness.watcher(server));

    CHECK(harness.rests == std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5});
    CHECK(harness.asked_at_rest == harness.asked_after_pause);
    CHECK(harness.asked_at_rest.front() == 0);
    CHECK(result.recorder.errors() == 0);
    // The measured turns take as long as was asked for, and what their last replies take.
    const double asked_s = static_cast<double>(spec.duration_ns) * 1e-9;
    CHECK(result.duration_s >= asked_s);
    // Every request of a measured turn has its reply in it.
    CHECK(result.recorder.replies() ==
          static_cast<std::uint64_t>(harness.asked_at_rest.back() - harness.asked_at_rest[1]));
    CHECK(result.recorder.in_flight_at_end() == 0);
    // No latency holds a pause, though many requests came just before or after one.
    CHECK(result.recorder.from_send().percentile_ns(0.99) < static_cast<std::uint64_t>(pause_ns));
    // Little's law: each connection has a request under way, or waits for the end of the turn.
    CHECK((result.recorder.busy_s() + result.recorder.paused_s()) / result.duration_s ==
          Approx(spec.connections).epsilon(0.02));
    CHECK(judge(spec, result).valid());
  }
}

TEST_CASE("the workers of a client have one clock, whoever comes to rest last") {
  // A worker with this connection rests later than the other one.
  const auto is_first = std::make_shared<std::atomic<bool>>(true);
  ScriptedServer server([is_first](Conversation& talk) {
    const bool slow = is_first->exchange(false);
    while (!talk.request().empty()) {
      if (slow) std::this_thread::sleep_for(std::chrono::milliseconds(15));
      talk.say(reply_with("hello"));
    }
  });
  Harness harness;
  LoadSpec spec = spec_in_turns(server, 8, harness);
  spec.threads = 2;
  const std::atomic<bool> stop{false};
  const LoadResult result = run_load(spec, stop, harness.watcher(server));
  CHECK(harness.asked_at_rest == harness.asked_after_pause);
  CHECK(result.recorder.replies() ==
        static_cast<std::uint64_t>(harness.asked_at_rest.back() - harness.asked_at_rest[1]));
  CHECK((result.recorder.busy_s() + result.recorder.paused_s()) / result.duration_s ==
        Approx(spec.connections).epsilon(0.02));
}

TEST_CASE("a connection that the server leaves without a reply does not keep a turn from ending") {
  // One of four is never served, as where all of a server's threads have a connection each.
  const auto is_first = std::make_shared<std::atomic<bool>>(true);
  ScriptedServer server([is_first](Conversation& talk) {
    if (is_first->exchange(false)) return talk.wait_for_end();
    while (!talk.request().empty()) talk.say(reply_with("hello"));
  });
  Harness harness;
  const LoadSpec spec = spec_in_turns(server, 3, harness);
  const std::atomic<bool> stop{false};
  const LoadResult result = run_load(spec, stop, harness.watcher(server));
  CHECK(harness.rests.size() == 5);
  CHECK(harness.asked_at_rest == harness.asked_after_pause);
  CHECK(result.recorder.starved_slots() == 1);
  CHECK(result.recorder.replies() > 0);
  CHECK(result.recorder.errors() == 0);
  CHECK(result.duration_s < 10 * static_cast<double>(spec.duration_ns) * 1e-9);
}

TEST_CASE("a connection that is closed between turns is opened again in the next one") {
  ScriptedServer server([](Conversation& talk) {
    for (int i = 0; i < 40; ++i) {
      if (talk.request().empty()) return;
      talk.say(reply_with("hello"));
    }
  });
  Harness harness;
  const LoadSpec spec = spec_in_turns(server, 4, harness);
  const std::atomic<bool> stop{false};
  const LoadResult result = run_load(spec, stop, harness.watcher(server));
  CHECK(harness.rests.size() == 6);
  CHECK(result.recorder.reconnects() > 0);
  CHECK(result.recorder.errors() == 0);
}

TEST_CASE("a run in turns that is stopped between two of them ends") {
  ScriptedServer server(replies);
  Harness harness;
  const LoadSpec spec = spec_in_turns(server, 4, harness);
  std::atomic<bool> stop{false};
  LoadWatcher watcher;
  watcher.rests = [&](std::uint32_t turns) {
    if (turns == 2) {
      stop = true;
    } else {
      harness.begun = turns + 1;
    }
  };
  const LoadResult result = run_load(spec, stop, watcher);
  CHECK(result.interrupted);
  CHECK(result.recorder.replies() > 0);
  CHECK(result.duration_s > 0);
}

TEST_CASE("only a closed loop can take turns") {
  ScriptedServer server(replies);
  Harness harness;
  LoadSpec spec = spec_in_turns(server, 4, harness);
  spec.model = LoadModel::open;
  spec.rate = RateProfile::parse("--rate", "100", 0, 1);
  CHECK_THROWS_AS(run(spec), UsageError);
  spec = spec_in_turns(server, 4, harness);
  CHECK_THROWS_AS(check_load(spec, 2), UsageError);
}
