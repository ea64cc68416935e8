// Made-up traces, for the tests of what is made of them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/phase.h"
#include "core/want.h"
#include "results/timeline/timeline.h"

namespace bakeoff::test {

inline constexpr std::int64_t ms = 1'000'000;
inline constexpr std::int64_t start_ns = 1'000 * ms;  // the clock's start is any

// A made-up trace: times in us from its start.
class MadeTrace {
 public:
  MadeTrace() { record_.server = "made"; }

  void client(int number, const std::vector<std::pair<int, int>>& requests) {
    TraceLane lane;
    lane.name = "client " + std::to_string(number);
    lane.kind = LaneKind::client;
    lane.process = 900;
    lane.thread = 900 + number;
    for (const auto& [from_us, to_us] : requests) {
      TraceEvent asked;
      asked.kind = TraceKind::asked;
      asked.connection = static_cast<std::uint32_t>(number);
      asked.amount = static_cast<std::uint64_t>(40'000 + number);
      asked.begin_ns = asked.end_ns = at(from_us);
      lane.events.push_back(asked);
      if (to_us < 0) continue;
      TraceEvent answered = asked;
      answered.kind = TraceKind::answered;
      answered.begin_ns = answered.end_ns = at(to_us);
      answered.amount = 8192;
      lane.events.push_back(answered);
    }
    record_.of_clients.push_back(lane);
  }

  std::size_t lane(const std::string& name, int thread, LaneKind kind = LaneKind::worker, int process = 100) {
    TraceLane lane;
    lane.name = name;
    lane.kind = kind;
    lane.process = process;
    lane.thread = thread;
    record_.of_server.push_back(lane);
    return record_.of_server.size() - 1;
  }

  TraceEvent& event(std::size_t lane, TraceKind kind, int connection, int from_us, int to_us) {
    TraceEvent event;
    event.kind = kind;
    event.connection = static_cast<std::uint32_t>(connection);
    event.begin_ns = at(from_us);
    event.end_ns = at(to_us);
    event.want = static_cast<std::uint8_t>(Want::readable);
    event.phase_before = event.phase_after = static_cast<std::uint8_t>(ServingPhase::sending);
    record_.of_server[lane].events.push_back(event);
    return record_.of_server[lane].events.back();
  }
  void accepts(std::size_t lane, int clients) {
    for (int client = 1; client <= clients; ++client)
      event(lane, TraceKind::accepted, 10 + client, 0, 0).amount = static_cast<std::uint64_t>(40'000 + client);
  }
  void arm(int from_us, int to_us) {
    TraceLane lane;
    lane.name = "disk arm 1";
    lane.kind = LaneKind::arm;
    lane.process = 800;
    TraceEvent served;
    served.kind = TraceKind::served;
    served.begin_ns = at(from_us);
    served.end_ns = at(to_us);
    served.amount = static_cast<std::uint64_t>(at(from_us));
    lane.events.push_back(served);
    record_.of_disk.push_back(lane);
  }

  TraceRecord& record() { return record_; }
  Timeline timeline() const { return make_timeline(record_); }

 private:
  static std::int64_t at(int us) { return start_ns + us * 1000LL; }
  TraceRecord record_;
};

// SPED: the loop waits for the disk for client 3, and both others stand still.
inline MadeTrace made_sped() {
  MadeTrace made;
  made.client(1, {{1000, 1100}, {3000, 12'200}});
  made.client(2, {{1050, 1200}, {4000, 12'300}});
  made.client(3, {{2000, 12'100}});
  const std::size_t loop = made.lane("loop", 100);
  made.accepts(loop, 3);
  made.event(loop, TraceKind::wait, 0, 100, 1010);
  made.event(loop, TraceKind::step, 11, 1010, 1090);
  made.event(loop, TraceKind::step, 12, 1090, 1190);
  made.event(loop, TraceKind::wait, 0, 1200, 2010);
  made.event(loop, TraceKind::step_on_disk, 13, 2020, 12'090);
  made.event(loop, TraceKind::step, 11, 12'100, 12'190);
  made.event(loop, TraceKind::step, 12, 12'190, 12'290);
  made.arm(2050, 12'000);
  return made;
}

// AMPED: a helper waits, and the loop goes on.
inline MadeTrace made_amped() {
  MadeTrace made;
  made.client(1, {{1000, 1100}, {3000, 3100}});
  made.client(2, {{4000, 4100}});
  made.client(3, {{2000, 12'300}});
  const std::size_t loop = made.lane("loop", 100);
  const std::size_t helper = made.lane("helper 1", 101, LaneKind::helper, 101);
  made.accepts(loop, 3);
  made.event(loop, TraceKind::step, 11, 1010, 1090);
  made.event(loop, TraceKind::wait, 0, 1100, 2010);
  made.event(loop, TraceKind::step, 13, 2010, 2050).want = static_cast<std::uint8_t>(Want::disk);
  made.event(loop, TraceKind::wait, 0, 2060, 3010);
  made.event(loop, TraceKind::step, 11, 3010, 3090);
  made.event(loop, TraceKind::wait, 0, 3100, 4010);
  made.event(loop, TraceKind::step, 12, 4010, 4090);
  made.event(loop, TraceKind::wait, 0, 4100, 12'200);
  made.event(loop, TraceKind::step, 13, 12'210, 12'280);
  made.event(helper, TraceKind::job, 13, 2100, 12'150);
  return made;
}

}  // namespace bakeoff::test
