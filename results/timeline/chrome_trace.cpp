#include "results/timeline/chrome_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/phase.h"
#include "core/want.h"

namespace bakeoff {
namespace {

using Json = nlohmann::ordered_json;

const char* phase_name(const Step& step) {
  if (step.kind == TraceKind::job) return "bring into memory";
  switch (static_cast<ServingPhase>(step.phase_before)) {
    case ServingPhase::receiving: return "receive";
    case ServingPhase::resolving: return "resolve";
    case ServingPhase::pausing: return "pause";
    case ServingPhase::sending: return "send";
    case ServingPhase::skipping: return "skip body";
    case ServingPhase::draining: return "drain";
  }
  return "?";
}

const char* want_name(std::uint8_t want) {
  switch (static_cast<Want>(want)) {
    case Want::readable: return "readable";
    case Want::writable: return "writable";
    case Want::disk: return "disk";
    case Want::timer: return "timer";
    case Want::close: return "close";
  }
  return "?";
}

// Where a lane's slices are in the trace: the numbers of a process and of two threads, for what is done and for the
// state. Lanes that share a kernel thread have threads of their own here, so that their slices nest.
struct Place {
  int process;
  int thread;
};

class Writer {
 public:
  explicit Writer(const Timeline& timeline) : timeline_(timeline) {}

  Json write() {
    for (std::size_t l = 0; l < timeline_.lanes.size(); ++l) add_lane(l);
    for (std::size_t r = 0; r < timeline_.requests.size(); ++r) add_request(r);
    add_counter("connections stalled", timeline_.stalled);
    add_counter("disk queue", timeline_.disk_queue);
    // Readers want them in the order of time; of those that begin together the longest first, so that slices nest.
    std::stable_sort(events_.begin(), events_.end(), [](const Json& a, const Json& b) {
      const double at = a.value("ts", -1.0), other = b.value("ts", -1.0);
      return at != other ? at < other : a.value("dur", 0.0) > b.value("dur", 0.0);
    });
    return {{"displayTimeUnit", "ms"},
            {"otherData", {{"server", timeline_.server}, {"events_lost", timeline_.lost}}},
            {"traceEvents", std::move(events_)}};
  }

 private:
  Place place_of(std::size_t lane) const { return {places_.at(lane).process, places_.at(lane).thread}; }

  void name(const char* what, Place place, const std::string& text, std::size_t order) {
    events_.push_back({{"ph", "M"},
                       {"name", std::string(what) + "_name"},
                       {"pid", place.process},
                       {"tid", place.thread},
                       {"args", {{"name", text}}}});
    events_.push_back({{"ph", "M"},
                       {"name", std::string(what) + "_sort_index"},
                       {"pid", place.process},
                       {"tid", place.thread},
                       {"args", {{"sort_index", order}}}});
  }

  void slice(Place place, const Span& span, const std::string& text, const char* category, Json arguments) {
    events_.push_back({{"ph", "X"},
                       {"name", text},
                       {"cat", category},
                       {"pid", place.process},
                       {"tid", place.thread},
                       {"ts", microseconds(span.begin_ns)},
                       {"dur", microseconds(span.length_ns())},
                       {"args", std::move(arguments)}});
  }

  void add_lane(std::size_t number) {
    const TimelineLane& lane = timeline_.lanes[number];
    // The programs' own process numbers. Threads are numbered anew: two for each lane.
    const Place place{lane.process, static_cast<int>(2 * number + 1)};
    places_.push_back(place);
    if (processes_.insert(place.process).second) {
      const char* what = lane.kind == LaneKind::client ? "clients" : lane.kind == LaneKind::arm ? "disk" : nullptr;
      name("process", place, what != nullptr ? what : timeline_.server + ": " + lane.name, number);
    }
    name("thread", place, lane.name, 2 * number);
    if (lane.kind == LaneKind::arm) {
      for (const Span& span : lane.served) slice(place, span, "serve a read", "disk", Json::object());
      return;
    }
    if (lane.kind == LaneKind::client) return;
    add_steps(place, lane);
    const Place states{place.process, place.thread + 1};
    name("thread", states, lane.name + ", state", 2 * number + 1);
    for (const Slice& one : lane.slices) {
      slice(states, one, name_of(one.state), "state", one.client > 0 ? Json{{"client", one.client}} : Json::object());
    }
  }

  // Steps that follow each other for one request are one slice around its phases.
  void add_steps(Place place, const TimelineLane& lane) {
    for (std::size_t i = 0; i < lane.steps.size();) {
      std::size_t end = i + 1;
      while (end < lane.steps.size() && lane.steps[end].request == lane.steps[i].request &&
             lane.steps[end].client == lane.steps[i].client)
        ++end;
      if (lane.steps[i].request >= 0) {
        Span all;
        all.begin_ns = lane.steps[i].begin_ns;
        all.end_ns = lane.steps[end - 1].end_ns;
        slice(place, all, fmt::format("client {}", lane.steps[i].client), "request",
              {{"request", lane.steps[i].request + 1}});
      }
      for (; i < end; ++i) {
        const Step& step = lane.steps[i];
        slice(place, step, phase_name(step), "phase",
              {{"client", step.client}, {"wants", want_name(step.want)}, {"bytes", step.bytes}});
      }
    }
  }

  void add_request(std::size_t number) {
    const TracedRequest& request = timeline_.requests[number];
    for (std::size_t l = 0; l < timeline_.lanes.size(); ++l) {
      if (timeline_.lanes[l].kind != LaneKind::client ||
          timeline_.lanes[l].name != fmt::format("client {}", request.client))
        continue;
      slice(place_of(l), request, fmt::format("request {}", number + 1), "client",
            {{"answered", request.answered}, {"bytes", request.bytes}});
    }
    // From step to step, where it changes lanes; a flow needs two ends.
    std::vector<Hop> stations;
    for (const Hop& hop : request.hops) {
      if (stations.empty() || stations.back().lane != hop.lane) stations.push_back(hop);
    }
    if (stations.size() < 2) return;
    std::int64_t last_ns = 0;
    for (std::size_t i = 0; i < stations.size(); ++i) {
      const Step& step = timeline_.lanes[stations[i].lane].steps[stations[i].step];
      const Place place = place_of(stations[i].lane);
      // A thread that waits in the call began before: the arrow must not point back.
      last_ns = std::clamp(std::max(step.begin_ns, last_ns), step.begin_ns, step.end_ns);
      Json flow = {{"ph", i == 0                     ? "s"
                          : i + 1 == stations.size() ? "f"
                                                     : "t"},
                   {"name", "request"},
                   {"cat", "flow"},
                   {"id", number + 1},
                   {"pid", place.process},
                   {"tid", place.thread},
                   {"ts", microseconds(last_ns)}};
      if (i + 1 == stations.size()) flow["bp"] = "e";
      events_.push_back(std::move(flow));
    }
  }

  void add_counter(const char* what, const Steps& steps) {
    if (timeline_.lanes.empty()) return;
    const auto server = std::find_if(timeline_.lanes.begin(), timeline_.lanes.end(),
                                     [](const TimelineLane& lane) { return lane.kind == LaneKind::worker; });
    const int process = server == timeline_.lanes.end() ? timeline_.lanes.front().process : server->process;
    for (const auto& [at, count] : steps) {
      events_.push_back(
          {{"ph", "C"}, {"name", what}, {"pid", process}, {"ts", microseconds(at)}, {"args", {{"number", count}}}});
    }
  }

  const Timeline& timeline_;
  std::vector<Json> events_;
  std::vector<Place> places_;
  std::set<int> processes_;
};

}  // namespace

Json to_chrome_trace(const Timeline& timeline) { return Writer(timeline).write(); }

std::vector<std::string> faults_of_chrome_trace(const nlohmann::json& trace) {
  constexpr double grain_us = 0.0015;  // times are rounded to ns
  std::vector<std::string> faults;
  if (!trace.is_object() || !trace.contains("traceEvents") || !trace["traceEvents"].is_array())
    return {"there is no array traceEvents"};
  struct OneSlice {
    double begin, end;
  };
  std::map<std::pair<int, int>, std::vector<OneSlice>> slices;
  std::set<int> named_processes, processes;
  std::set<std::pair<int, int>> named_threads, threads;
  struct Flow {
    int starts = 0, ends = 0;
    double last = -1;
  };
  std::map<std::string, Flow> flows;
  struct Bind {
    std::pair<int, int> thread;
    double at;
    std::string id;
  };
  std::vector<Bind> binds;
  std::size_t number = 0;
  for (const nlohmann::json& event : trace["traceEvents"]) {
    const std::string where = fmt::format("event {}", number++);
    const auto fault = [&](const std::string& what) { faults.push_back(where + ": " + what); };
    if (!event.is_object() || !event.contains("ph") || !event["ph"].is_string()) {
      fault("it has no phase (ph)");
      continue;
    }
    const std::string phase = event["ph"];
    if (!event.contains("name") || !event["name"].is_string()) fault("it has no name");
    if (!event.contains("pid") || !event["pid"].is_number_integer()) {
      fault("it has no process (pid)");
      continue;
    }
    const int process = event["pid"];
    if (phase == "M") {
      const std::string what = event.value("name", "");
      if (!event.contains("args") || !event["args"].is_object()) fault("it names nothing");
      if (what == "process_name") named_processes.insert(process);
      if (what == "thread_name") named_threads.emplace(process, event.value("tid", 0));
      continue;
    }
    if (!event.contains("ts") || !event["ts"].is_number() || event["ts"].get<double>() < 0) {
      fault("it has no time (ts)");
      continue;
    }
    const double at = event["ts"];
    processes.insert(process);
    if (phase == "C") {
      const auto args = event.find("args");
      if (args == event.end() || !args->is_object() || args->empty()) fault("a counter without a number");
      continue;
    }
    if (!event.contains("tid") || !event["tid"].is_number_integer()) {
      fault("it has no thread (tid)");
      continue;
    }
    const std::pair<int, int> thread{process, event["tid"].get<int>()};
    threads.insert(thread);
    if (phase == "X") {
      if (!event.contains("dur") || !event["dur"].is_number() || event["dur"].get<double>() < 0) {
        fault("a slice without a duration (dur)");
        continue;
      }
      slices[thread].push_back({at, at + event["dur"].get<double>()});
    } else if (phase == "s" || phase == "t" || phase == "f") {
      if (!event.contains("id")) {
        fault("a flow without an id");
        continue;
      }
      const std::string id = event["id"].dump() + "/" + event.value("cat", "") + "/" + event.value("name", "");
      Flow& flow = flows[id];
      flow.starts += phase == "s" ? 1 : 0;
      flow.ends += phase == "f" ? 1 : 0;
      if (phase != "s" && flow.starts == 0) fault("flow " + id + " goes on before it begins");
      if (at < flow.last) fault("flow " + id + " goes back in time");
      flow.last = at;
      binds.push_back({thread, at, id});
    } else {
      fault("`" + phase + "` is no phase that is written here");
    }
  }
  for (auto& [thread, all] : slices) {
    std::sort(all.begin(), all.end(), [](const OneSlice& a, const OneSlice& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
    });
    std::vector<double> open;
    for (const OneSlice& one : all) {
      while (!open.empty() && open.back() <= one.begin + grain_us) open.pop_back();
      if (!open.empty() && one.end > open.back() + grain_us)
        faults.push_back(fmt::format("slices of thread {}/{} overlap without nesting at {:.3f} us", thread.first,
                                     thread.second, one.begin));
      open.push_back(one.end);
    }
  }
  for (const auto& [id, flow] : flows) {
    if (flow.starts != 1 || flow.ends != 1)
      faults.push_back(fmt::format("flow {} begins {} times and ends {} times", id, flow.starts, flow.ends));
  }
  for (const Bind& bind : binds) {
    const auto found = slices.find(bind.thread);
    const bool within =
        found != slices.end() && std::any_of(found->second.begin(), found->second.end(), [&](const OneSlice& one) {
          return one.begin <= bind.at + grain_us && bind.at <= one.end + grain_us;
        });
    if (!within) faults.push_back(fmt::format("flow {} is at {:.3f} us in no slice", bind.id, bind.at));
  }
  for (const int process : processes) {
    if (!named_processes.contains(process)) faults.push_back(fmt::format("process {} has no name", process));
  }
  for (const auto& [process, thread] : threads) {
    if (!named_threads.contains({process, thread}))
      faults.push_back(fmt::format("thread {}/{} has no name", process, thread));
  }
  return faults;
}

}  // namespace bakeoff
