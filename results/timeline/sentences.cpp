#include "results/timeline/sentences.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

namespace bakeoff {
namespace {

// What is shorter is not worth a sentence.
constexpr std::int64_t least_told_ns = 100'000;
// Of a wait: who stands still for less of it does not stand still.
constexpr double least_share = 0.02;

struct DiskWait {
  std::size_t lane = 0;
  Slice slice;
};

// Waits of kernel threads and processes, the longest first. A parked user-level thread only looks on.
std::vector<DiskWait> disk_waits(const Timeline& timeline) {
  std::vector<DiskWait> waits;
  for (std::size_t l = 0; l < timeline.lanes.size(); ++l) {
    const TimelineLane& lane = timeline.lanes[l];
    if (lane.kind != LaneKind::worker && lane.kind != LaneKind::helper) continue;
    for (const Slice& slice : lane.slices) {
      if (slice.state == LaneState::waiting_for_disk && slice.client > 0 && slice.length_ns() >= least_told_ns)
        waits.push_back({l, slice});
    }
  }
  std::sort(waits.begin(), waits.end(),
            [](const DiskWait& a, const DiskWait& b) { return a.slice.length_ns() > b.slice.length_ns(); });
  return waits;
}

// "client 1", "clients 1 and 2", "clients 1, 2 and 3"; of many: "12 clients".
std::string clients_text(const std::set<int>& clients) {
  if (clients.size() == 1) return fmt::format("client {}", *clients.begin());
  if (clients.size() > 6) return fmt::format("{} clients", clients.size());
  std::string text = "clients ";
  std::size_t n = 0;
  for (const int client : clients) {
    text += (n == 0 ? "" : n + 1 == clients.size() ? " and " : ", ") + std::to_string(client);
    ++n;
  }
  return text;
}

std::string capital(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return text;
}

bool overlaps(const Span& a, const Span& b) { return a.begin_ns < b.end_ns && b.begin_ns < a.end_ns; }

// Which lanes sent the replies that came meanwhile.
std::string senders_of(const Timeline& timeline, const std::vector<std::size_t>& requests) {
  std::set<std::size_t> lanes;
  for (const std::size_t r : requests) {
    if (!timeline.requests[r].hops.empty()) lanes.insert(timeline.requests[r].hops.back().lane);
  }
  constexpr std::size_t few = 4;
  if (lanes.empty()) return " from nobody who was recorded";
  if (lanes.size() > few) return fmt::format(" from {} lanes", lanes.size());
  std::vector<std::string> names;
  for (const std::size_t lane : lanes) names.push_back(object_of(timeline.lanes[lane]));
  return " from " + joined(names);
}

// What the others do while somebody waits for the disk.
void tell_of_others(const Timeline& timeline, const DiskWait& wait, std::vector<std::string>& told) {
  const int waits_for = wait.slice.client;
  const auto least_ns = std::max<std::int64_t>(
      50'000, static_cast<std::int64_t>(least_share * static_cast<double>(wait.slice.length_ns())));
  std::map<int, std::int64_t> still_ns;
  for (const Stall& stall : timeline.stalls) {
    if (stall.client == waits_for || !overlaps(stall, wait.slice)) continue;
    still_ns[stall.client] += std::min(stall.end_ns, wait.slice.end_ns) - std::max(stall.begin_ns, wait.slice.begin_ns);
  }
  std::set<int> still;
  std::int64_t longest_ns = 0;
  for (const auto& [client, ns] : still_ns) {
    if (ns < least_ns) continue;
    still.insert(client);
    longest_ns = std::max(longest_ns, ns);
  }
  std::set<int> asking;
  std::vector<std::size_t> replies;
  for (std::size_t r = 0; r < timeline.requests.size(); ++r) {
    const TracedRequest& request = timeline.requests[r];
    if (request.client == waits_for) continue;
    if (overlaps(request, wait.slice)) asking.insert(request.client);
    // What was sent before the wait may arrive within it.
    const std::int64_t sent_ns =
        request.hops.empty() ? request.end_ns
                             : timeline.lanes[request.hops.back().lane].steps[request.hops.back().step].begin_ns;
    if (request.answered && sent_ns > wait.slice.begin_ns && request.end_ns < wait.slice.end_ns) replies.push_back(r);
  }
  const std::string from = senders_of(timeline, replies);
  const char* verb = still.size() == 1 ? "stands" : "stand";
  if (asking.empty()) {
    told.push_back("Nobody else asks for anything meanwhile.");
  } else if (!still.empty() && replies.empty()) {
    told.push_back(fmt::format("Nobody else gets a reply meanwhile: {} {} still, for up to {}.", clients_text(still),
                               verb, duration_text(longest_ns)));
  } else if (!still.empty()) {
    told.push_back(fmt::format("{} {} still meanwhile, for up to {}; {} {} to the others {}{}.",
                               capital(clients_text(still)), verb, duration_text(longest_ns), replies.size(),
                               replies.size() == 1 ? "reply" : "replies", replies.size() == 1 ? "comes" : "come",
                               from));
  } else if (!replies.empty()) {
    told.push_back(fmt::format("The others do not stand still: {} {} meanwhile,{}.", replies.size(),
                               replies.size() == 1 ? "reply comes" : "replies come", from));
  }
}

// Where the waiting connection is parked, where a kernel thread waits in a user-level thread's place.
void tell_of_parked(const Timeline& timeline, const DiskWait& wait, std::vector<std::string>& told) {
  for (const TimelineLane& lane : timeline.lanes) {
    if (lane.kind != LaneKind::user_thread) continue;
    for (const Slice& slice : lane.slices) {
      if (slice.state != LaneState::waiting_for_disk || slice.client != wait.slice.client ||
          !overlaps(slice, wait.slice))
        continue;
      told.push_back(
          fmt::format("{}, a user-level thread, is parked meanwhile; the kernel thread that it runs on is not.",
                      capital(lane.name)));
      return;
    }
  }
}

std::string percentile_sentence(const Timeline& timeline, int except) {
  std::vector<std::int64_t> times;
  for (const TracedRequest& request : timeline.requests) {
    if (request.answered && request.client != except) times.push_back(request.length_ns());
  }
  if (times.size() < 2) return "";
  std::sort(times.begin(), times.end());
  return fmt::format("{} {} replies: half take at most {}, the slowest {}.",
                     except > 0 ? "The others get" : "The clients get", times.size(),
                     duration_text(times[(times.size() - 1) / 2]), duration_text(times.back()));
}

}  // namespace

std::string duration_text(std::int64_t ns) {
  const double ms = static_cast<double>(ns) / 1e6;
  if (ms >= 100) return fmt::format("{:.0f} ms", ms);
  if (ms >= 10) return fmt::format("{:.1f} ms", ms);
  if (ms >= 1) return fmt::format("{:.2f} ms", ms);
  return fmt::format("{:.3f} ms", ms);
}

std::string object_of(const TimelineLane& lane) {
  const bool numbered = !lane.name.empty() && std::isdigit(static_cast<unsigned char>(lane.name.back())) != 0;
  return numbered || lane.name.find(',') != std::string::npos ? lane.name : "the " + lane.name;
}

std::string subject_of(const TimelineLane& lane) { return capital(object_of(lane)); }

std::int64_t time_in(const TimelineLane& lane, LaneState state) {
  std::int64_t sum = 0;
  for (const Slice& slice : lane.slices) sum += slice.state == state ? slice.length_ns() : 0;
  return sum;
}

std::optional<std::size_t> request_to_follow(const Timeline& timeline) {
  std::optional<std::size_t> found;
  std::pair<std::int64_t, std::int64_t> most{-1, -1};
  for (std::size_t r = 0; r < timeline.requests.size(); ++r) {
    const TracedRequest& request = timeline.requests[r];
    if (request.hops.empty()) continue;
    std::int64_t at_disk_ns = 0;
    for (const Hop& hop : request.hops) {
      const Step& step = timeline.lanes[hop.lane].steps[hop.step];
      if (step.kind == TraceKind::step_on_disk || step.kind == TraceKind::job) at_disk_ns += step.length_ns();
    }
    const std::pair<std::int64_t, std::int64_t> now{at_disk_ns >= least_told_ns ? at_disk_ns : 0, request.length_ns()};
    if (now > most) {
      most = now;
      found = r;
    }
  }
  return found;
}

std::vector<std::string> sentences_of(const Timeline& timeline) {
  std::vector<std::string> told;
  const std::vector<DiskWait> waits = disk_waits(timeline);
  if (waits.empty()) {
    told.push_back(fmt::format("Nobody waits for the disk for {} or longer.", duration_text(least_told_ns)));
  } else {
    const DiskWait& longest = waits.front();
    told.push_back(fmt::format("{} waits {} for the disk for client {}.", subject_of(timeline.lanes[longest.lane]),
                               duration_text(longest.slice.length_ns()), longest.slice.client));
    tell_of_others(timeline, longest, told);
    tell_of_parked(timeline, longest, told);
    std::vector<Span> spans;
    for (const DiskWait& wait : waits) spans.push_back(wait.slice);
    std::size_t at_once = 0;
    for (const Span& span : spans) {
      at_once = std::max<std::size_t>(
          at_once, static_cast<std::size_t>(std::count_if(spans.begin(), spans.end(), [&](const Span& other) {
            return other.begin_ns <= span.begin_ns && span.begin_ns < other.end_ns;
          })));
    }
    if (waits.size() > 1)
      told.push_back(fmt::format("There are {} waits of {} or more for the disk, at most {} of them at once.",
                                 waits.size(), duration_text(least_told_ns), at_once));
  }
  if (const std::string times = percentile_sentence(timeline, waits.empty() ? 0 : waits.front().slice.client);
      !times.empty())
    told.push_back(times);
  const TimelineLane* delayed = nullptr;
  for (const TimelineLane& lane : timeline.lanes) {
    if (lane.kind == LaneKind::user_thread) continue;
    if (delayed == nullptr || time_in(lane, LaneState::runnable) > time_in(*delayed, LaneState::runnable))
      delayed = &lane;
  }
  if (delayed != nullptr && time_in(*delayed, LaneState::runnable) >= least_told_ns)
    told.push_back(fmt::format("{} could run and did not for {} in all: others had the processor.",
                               subject_of(*delayed), duration_text(time_in(*delayed, LaneState::runnable))));
  const auto unanswered = std::count_if(timeline.requests.begin(), timeline.requests.end(),
                                        [](const TracedRequest& request) { return !request.answered; });
  if (unanswered > 0)
    told.push_back(fmt::format("{} {} without a reply when the trace ends.", unanswered,
                               unanswered == 1 ? "request is" : "requests are"));
  if (timeline.lost > 0)
    told.push_back(fmt::format("{} events are lost: a lane keeps its newest ones (--events), and these were older.",
                               timeline.lost));
  if (timeline.unrecorded > 0)
    told.push_back(fmt::format("{} contexts of execution are not recorded: there are too many.", timeline.unrecorded));
  return told;
}

}  // namespace bakeoff
