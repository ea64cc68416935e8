#include "results/timeline/timeline.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>

#include "core/base/errors.h"
#include "core/phase.h"
#include "core/want.h"

namespace bakeoff {
namespace {

// A gap between two steps that is shorter is what the thread does between them.
constexpr std::int64_t bookkeeping_ns = 30'000;
// A wait that is shorter is none: the call just took its time.
constexpr std::int64_t least_wait_ns = 3'000;
// Of the picture, before the first request and after the last reply.
constexpr std::int64_t margin_ns = 200'000;

bool is_step(TraceKind kind) {
  return kind == TraceKind::step || kind == TraceKind::step_on_socket || kind == TraceKind::step_on_disk ||
         kind == TraceKind::job;
}

// Nothing came: the call only found that out.
bool is_empty_receive(const TraceEvent& event) {
  return event.kind != TraceKind::job && event.phase_before == static_cast<std::uint8_t>(ServingPhase::receiving) &&
         event.phase_after == event.phase_before && event.amount == 0;
}

// Slices of one lane, in order; what touches and is the same becomes one.
class Slices {
 public:
  explicit Slices(std::vector<Slice>& slices) : slices_(slices) {}
  void add(std::int64_t begin_ns, std::int64_t end_ns, LaneState state, int client) {
    if (!slices_.empty()) begin_ns = std::max(begin_ns, slices_.back().end_ns);
    if (end_ns <= begin_ns) return;
    if (!slices_.empty()) {
      Slice& last = slices_.back();
      if (last.state == state && last.client == client && last.end_ns == begin_ns) {
        last.end_ns = end_ns;
        return;
      }
    }
    Slice slice;
    slice.begin_ns = begin_ns;
    slice.end_ns = end_ns;
    slice.state = state;
    slice.client = client;
    slices_.push_back(slice);
  }

 private:
  std::vector<Slice>& slices_;
};

// A wait with what the kernel says of it: it waited, then could run and did not, then ran.
void add_wait(Slices& slices, const TraceEvent& event, LaneState state, int client) {
  const std::int64_t ran_ns = std::min<std::int64_t>(event.cpu_ns, event.end_ns - event.begin_ns);
  const std::int64_t off_ns = event.end_ns - event.begin_ns - ran_ns;
  const std::int64_t delay_ns = std::min<std::int64_t>(event.delay_ns, off_ns);
  if (off_ns < least_wait_ns) {
    slices.add(event.begin_ns, event.end_ns, event.kind == TraceKind::wait ? state : LaneState::computing, client);
    return;
  }
  slices.add(event.begin_ns, event.end_ns - ran_ns - delay_ns, state, client);
  slices.add(event.end_ns - ran_ns - delay_ns, event.end_ns - ran_ns, LaneState::runnable, client);
  slices.add(event.end_ns - ran_ns, event.end_ns, LaneState::computing, client);
}

using ClientOf = std::map<std::uint32_t, int>;  // by the server's number of the connection

int client_of(const ClientOf& clients, std::uint32_t connection) {
  const auto found = clients.find(connection);
  return found == clients.end() ? 0 : found->second;
}

// The server's connections by the clients' places: both recorded them.
ClientOf find_clients(const TraceRecord& record) {
  std::map<std::uint64_t, int> by_place;
  for (const TraceLane& lane : record.of_clients) {
    for (const TraceEvent& event : lane.events) {
      if (event.kind == TraceKind::asked) by_place[event.amount] = static_cast<int>(event.connection);
    }
  }
  ClientOf clients;
  for (const TraceLane& lane : record.of_server) {
    for (const TraceEvent& event : lane.events) {
      if (event.kind != TraceKind::accepted) continue;
      if (const auto found = by_place.find(event.amount); found != by_place.end())
        clients[event.connection] = found->second;
    }
  }
  return clients;
}

void add_worker_slices(const TraceLane& lane, const ClientOf& clients, std::int64_t end_ns, TimelineLane& drawn) {
  Slices slices(drawn.slices);
  const bool has_waits = std::any_of(lane.events.begin(), lane.events.end(),
                                     [](const TraceEvent& event) { return event.kind == TraceKind::wait; });
  const bool parks = lane.kind == LaneKind::user_thread;
  std::optional<std::int64_t> last_ns;
  LaneState parked = LaneState::waiting_for_socket;
  int parked_client = 0;
  for (const TraceEvent& event : lane.events) {
    const int client = client_of(clients, event.connection);
    if (last_ns && event.begin_ns > *last_ns) {
      if (parks) {
        slices.add(*last_ns, event.begin_ns, parked, parked_client);
      } else if (has_waits || event.begin_ns - *last_ns < bookkeeping_ns) {
        slices.add(*last_ns, event.begin_ns, LaneState::computing, 0);
      }
    }
    switch (event.kind) {
      case TraceKind::wait: add_wait(slices, event, LaneState::waiting_for_socket, 0); break;
      case TraceKind::step: slices.add(event.begin_ns, event.end_ns, LaneState::computing, client); break;
      case TraceKind::step_on_socket: add_wait(slices, event, LaneState::waiting_for_socket, client); break;
      case TraceKind::step_on_disk:
      case TraceKind::job: add_wait(slices, event, LaneState::waiting_for_disk, client); break;
      default: break;  // at rest, there is nothing to draw
    }
    if (parks && is_step(event.kind)) {
      parked = event.want == static_cast<std::uint8_t>(Want::disk) ? LaneState::waiting_for_disk
                                                                   : LaneState::waiting_for_socket;
      parked_client = client;
    }
    last_ns = std::max(last_ns.value_or(event.end_ns), event.end_ns);
  }
  const bool closed = !lane.events.empty() && lane.events.back().want == static_cast<std::uint8_t>(Want::close);
  if (parks && last_ns && !closed) slices.add(*last_ns, end_ns, parked, parked_client);
}

void add_steps(const TraceLane& lane, const ClientOf& clients, TimelineLane& drawn) {
  for (const TraceEvent& event : lane.events) {
    if (!is_step(event.kind) || is_empty_receive(event)) continue;
    Step step;
    step.begin_ns = event.begin_ns;
    step.end_ns = event.end_ns;
    step.kind = event.kind;
    step.client = client_of(clients, event.connection);
    step.phase_before = event.phase_before;
    step.phase_after = event.phase_after;
    step.want = event.want;
    step.bytes = event.amount;
    drawn.steps.push_back(step);
  }
}

// Which request of its client each step is for. A step that began before the request came (a thread waits in the call
// for it) belongs to it; one after the reply came does not.
void assign_requests(Timeline& timeline) {
  std::map<int, std::vector<std::size_t>> of_client;  // in the order of asking
  for (std::size_t r = 0; r < timeline.requests.size(); ++r) of_client[timeline.requests[r].client].push_back(r);
  for (std::size_t l = 0; l < timeline.lanes.size(); ++l) {
    TimelineLane& lane = timeline.lanes[l];
    std::map<int, std::size_t> next;
    for (std::size_t s = 0; s < lane.steps.size(); ++s) {
      Step& step = lane.steps[s];
      const auto found = of_client.find(step.client);
      if (found == of_client.end()) continue;
      std::size_t& at = next[step.client];
      const std::vector<std::size_t>& requests = found->second;
      while (at < requests.size() && timeline.requests[requests[at]].end_ns < step.begin_ns) ++at;
      if (at == requests.size() || timeline.requests[requests[at]].begin_ns > step.end_ns) continue;
      step.request = static_cast<int>(requests[at]);
      timeline.requests[requests[at]].hops.push_back({l, s});
    }
  }
  for (TracedRequest& request : timeline.requests) {
    std::sort(request.hops.begin(), request.hops.end(), [&](const Hop& a, const Hop& b) {
      return timeline.lanes[a.lane].steps[a.step].begin_ns < timeline.lanes[b.lane].steps[b.step].begin_ns;
    });
  }
}

void add_requests(const TraceRecord& record, Timeline& timeline) {
  for (const TraceLane& lane : record.of_clients) {
    std::deque<std::size_t> unanswered;
    for (const TraceEvent& event : lane.events) {
      if (event.kind == TraceKind::asked) {
        TracedRequest request;
        request.begin_ns = event.begin_ns;
        request.end_ns = std::numeric_limits<std::int64_t>::max();
        request.client = static_cast<int>(event.connection);
        unanswered.push_back(timeline.requests.size());
        timeline.requests.push_back(request);
      } else if (event.kind == TraceKind::answered && !unanswered.empty()) {
        TracedRequest& request = timeline.requests[unanswered.front()];
        unanswered.pop_front();
        request.end_ns = event.end_ns;
        request.answered = true;
        request.bytes = event.amount;
      }
    }
  }
}

// While nobody works on a request, and the thread that will go on with it waits for somebody else's.
void find_stalls(Timeline& timeline) {
  for (const TracedRequest& request : timeline.requests) {
    std::int64_t covered_ns = request.begin_ns;
    for (const Hop& hop : request.hops) {
      const Step& step = timeline.lanes[hop.lane].steps[hop.step];
      if (step.begin_ns > covered_ns) {
        for (std::size_t l = 0; l < timeline.lanes.size(); ++l) {
          if (timeline.lanes[l].kind == LaneKind::user_thread || !timeline.same_thread(l, hop.lane)) continue;
          for (const Slice& slice : timeline.lanes[l].slices) {
            const bool waits =
                slice.state == LaneState::waiting_for_disk || slice.state == LaneState::waiting_for_socket;
            if (!waits || slice.client == 0 || slice.client == request.client) continue;
            Stall stall;
            stall.begin_ns = std::max(covered_ns, slice.begin_ns);
            stall.end_ns = std::min(step.begin_ns, slice.end_ns);
            stall.client = request.client;
            stall.lane = l;
            stall.because_of = slice.client;
            stall.state = slice.state;
            if (stall.length_ns() >= least_wait_ns) timeline.stalls.push_back(stall);
          }
        }
      }
      covered_ns = std::max(covered_ns, step.end_ns);
    }
  }
  std::sort(timeline.stalls.begin(), timeline.stalls.end(),
            [](const Stall& a, const Stall& b) { return a.begin_ns < b.begin_ns; });
}

Steps count_over_time(const std::vector<Span>& spans) {
  std::map<std::int64_t, int> changes;
  for (const Span& span : spans) {
    ++changes[span.begin_ns];
    --changes[span.end_ns];
  }
  Steps steps = {{0, 0}};
  int count = 0;
  for (const auto& [at, change] : changes) {
    if (change == 0) continue;
    count += change;
    if (steps.back().first == at) {
      steps.back().second = count;
    } else {
      steps.emplace_back(at, count);
    }
  }
  return steps;
}

// To the time from begin_ns on, for length_ns; what lies outside goes.
template <class Part>
void cut(std::vector<Part>& parts, std::int64_t begin_ns, std::int64_t length_ns) {
  std::vector<Part> kept;
  for (Part& part : parts) {
    part.begin_ns = std::max<std::int64_t>(part.begin_ns - begin_ns, 0);
    part.end_ns = std::min(part.end_ns == std::numeric_limits<std::int64_t>::max() ? length_ns : part.end_ns - begin_ns,
                           length_ns);
    if (part.end_ns > part.begin_ns) kept.push_back(std::move(part));
  }
  parts = std::move(kept);
}

}  // namespace

const char* name_of(LaneState state) {
  switch (state) {
    case LaneState::computing: return "computing";
    case LaneState::waiting_for_socket: return "waiting for a socket";
    case LaneState::waiting_for_disk: return "waiting for the disk";
    case LaneState::runnable: return "able to run, but not running";
  }
  return "?";
}

Timeline make_timeline(const TraceRecord& record) {
  Timeline timeline;
  timeline.server = record.server;
  timeline.unrecorded = record.unrecorded;
  const ClientOf clients = find_clients(record);
  add_requests(record, timeline);

  // The scene: from when each client has had what it had to have before, to the last reply.
  std::map<int, std::vector<std::int64_t>> replies;
  std::int64_t first_ns = std::numeric_limits<std::int64_t>::max(), last_ns = 0;
  for (const TracedRequest& request : timeline.requests) {
    if (request.answered) replies[request.client].push_back(request.end_ns);
  }
  std::int64_t from_ns = 0;
  for (const auto& [client, ends] : replies) {
    if (record.replies_before > 0 && ends.size() >= record.replies_before)
      from_ns = std::max(from_ns, ends[record.replies_before - 1]);
  }
  for (const TracedRequest& request : timeline.requests) {
    if (request.begin_ns < from_ns) continue;
    first_ns = std::min(first_ns, request.begin_ns);
    last_ns = std::max(last_ns, request.answered ? request.end_ns : request.begin_ns);
  }
  if (last_ns == 0) throw UsageError(record.server + ": no client asked for anything while it was recorded");
  const std::int64_t begin_ns = first_ns - margin_ns;
  timeline.length_ns = last_ns + margin_ns - begin_ns;
  cut(timeline.requests, begin_ns, timeline.length_ns);

  for (const TraceLane& lane : record.of_clients) {
    TimelineLane drawn{lane.name, lane.kind, lane.process, lane.thread, lane.lost, {}, {}, {}};
    timeline.lanes.push_back(std::move(drawn));
    for (const TraceEvent& event : lane.events)
      timeline.clients = std::max(timeline.clients, static_cast<int>(event.connection));
  }
  for (const TraceLane& lane : record.of_server) {
    TimelineLane drawn{lane.name, lane.kind, lane.process, lane.thread, lane.lost, {}, {}, {}};
    add_worker_slices(lane, clients, begin_ns + timeline.length_ns, drawn);
    add_steps(lane, clients, drawn);
    cut(drawn.slices, begin_ns, timeline.length_ns);
    cut(drawn.steps, begin_ns, timeline.length_ns);
    timeline.lanes.push_back(std::move(drawn));
  }
  std::vector<Span> at_disk;
  for (const TraceLane& lane : record.of_disk) {
    TimelineLane drawn{lane.name, lane.kind, lane.process, lane.thread, lane.lost, {}, {}, {}};
    for (const TraceEvent& event : lane.events) {
      if (event.kind != TraceKind::served) continue;
      drawn.served.push_back({event.begin_ns, event.end_ns});
      at_disk.push_back({static_cast<std::int64_t>(event.amount), event.end_ns});
    }
    cut(drawn.served, begin_ns, timeline.length_ns);
    for (const Span& span : drawn.served) Slices(drawn.slices).add(span.begin_ns, span.end_ns, LaneState::computing, 0);
    timeline.lanes.push_back(std::move(drawn));
  }
  for (const TimelineLane& lane : timeline.lanes) timeline.lost += lane.lost;
  cut(at_disk, begin_ns, timeline.length_ns);
  timeline.disk_queue = count_over_time(at_disk);

  assign_requests(timeline);
  find_stalls(timeline);
  // One connection stands still once, whoever and however many it waits for.
  std::map<int, std::vector<Span>> by_client;
  for (const Stall& stall : timeline.stalls) {
    std::vector<Span>& spans = by_client[stall.client];
    if (!spans.empty() && stall.begin_ns <= spans.back().end_ns) {
      spans.back().end_ns = std::max(spans.back().end_ns, stall.end_ns);
    } else {
      spans.push_back(stall);
    }
  }
  std::vector<Span> still;
  for (const auto& [client, spans] : by_client) still.insert(still.end(), spans.begin(), spans.end());
  timeline.stalled = count_over_time(still);
  return timeline;
}

}  // namespace bakeoff
