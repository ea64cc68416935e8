// What a traced server did, as lanes on one time axis: one for each context of execution, each client and each arm of
// the disk. Everything that is drawn, told or exported is in it, and nothing else.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/trace/ring.h"

namespace bakeoff {

// Times are in ns from the timeline's beginning.
struct Span {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::int64_t length_ns() const { return end_ns - begin_ns; }
};

inline double microseconds(std::int64_t ns) { return static_cast<double>(ns) / 1e3; }

enum class LaneState : std::uint8_t { computing, waiting_for_socket, waiting_for_disk, runnable };
const char* name_of(LaneState state);

struct Slice : Span {
  LaneState state = LaneState::computing;
  int client = 0;  // for whom, from 1; 0: for nobody in particular
};

// What a lane did for a connection at one go.
struct Step : Span {
  TraceKind kind = TraceKind::step;
  int client = 0;    // 0: not one of those that were traced
  int request = -1;  // into Timeline::requests; -1: none
  std::uint8_t phase_before = 0, phase_after = 0, want = 0;
  std::uint64_t bytes = 0;
};

struct TimelineLane {
  std::string name;  // "loop", "helper 1", "client 3"
  LaneKind kind = LaneKind::worker;
  pid_t process = 0, thread = 0;
  std::uint64_t lost = 0;  // events
  std::vector<Slice> slices;
  std::vector<Step> steps;   // of servers' lanes
  std::vector<Span> served;  // of disks' arms
};

struct Hop {
  std::size_t lane, step;
};
struct TracedRequest
    : Span {  // from the client's sending to its having the reply; end_ns: the timeline's where none came
  int client = 0;
  bool answered = false;
  std::uint64_t bytes = 0;
  std::vector<Hop> hops;  // who worked on it, in the order of time
};

// A connection stands still: its request is there, and who will serve it waits for somebody else's.
struct Stall : Span {
  int client = 0;
  std::size_t lane = 0;  // that waits
  int because_of = 0;    // the client for whom it waits
  LaneState state = LaneState::waiting_for_disk;
};

using Steps = std::vector<std::pair<std::int64_t, int>>;  // from when on, how many

struct Timeline {
  std::string server;
  std::int64_t length_ns = 0;
  std::vector<TimelineLane> lanes;  // clients first, then the server's, then the disk's
  std::vector<TracedRequest> requests;
  std::vector<Stall> stalls;
  Steps stalled;     // connections that stand still
  Steps disk_queue;  // requests that wait for an arm or are served
  int clients = 0;
  std::uint64_t lost = 0;        // events, within all lanes
  std::uint32_t unrecorded = 0;  // contexts that found no ring

  // The lanes of the server on that kernel thread; itself among them.
  bool same_thread(std::size_t lane, std::size_t other) const {
    return lanes[lane].process == lanes[other].process && lanes[lane].thread == lanes[other].thread;
  }
};

// What was read of the three programs.
struct TraceRecord {
  std::string server;
  std::vector<TraceLane> of_server, of_clients, of_disk;
  std::uint32_t unrecorded = 0;
  // Replies that each client had before the scene began: the timeline begins when all have had so many.
  std::size_t replies_before = 0;
};

// UsageError when no client asked anything while it was recorded.
Timeline make_timeline(const TraceRecord& record);

}  // namespace bakeoff
