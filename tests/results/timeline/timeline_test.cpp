#include "results/timeline/timeline.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "core/base/errors.h"
#include "core/want.h"
#include "results/timeline/chrome_trace.h"
#include "results/timeline/picture.h"
#include "results/timeline/sentences.h"
#include "results/timeline/timeline_page.h"
#include "tests/catch.h"
#include "tests/results/timeline/made_trace.h"
#include "tests/results/timeline/well_formed.h"

using namespace bakeoff;

namespace {

using test::made_amped;
using test::made_sped;
using test::MadeTrace;
using test::ms;

bool says(const Timeline& timeline, const std::string& sentence) {
  const std::vector<std::string> told = sentences_of(timeline);
  for (const std::string& one : told) UNSCOPED_INFO(one);
  return std::find(told.begin(), told.end(), sentence) != told.end();
}
bool says_part(const Timeline& timeline, const std::string& part) {
  const std::vector<std::string> told = sentences_of(timeline);
  return std::any_of(told.begin(), told.end(),
                     [&](const std::string& one) { return one.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("the loop that waits for the disk keeps all others waiting, and is said to") {
  const Timeline timeline = made_sped().timeline();
  CHECK(timeline.clients == 3);
  REQUIRE(timeline.stalls.size() == 2);
  CHECK(timeline.stalls[0].client == 1);
  CHECK(timeline.stalls[0].because_of == 3);
  CHECK(timeline.stalls[0].length_ns() == 9090 * 1000);  // from its request to the end of the wait
  CHECK(says(timeline, "The loop waits 10.1 ms for the disk for client 3."));
  CHECK(says(timeline, "Nobody else gets a reply meanwhile: clients 1 and 2 stand still, for up to 9.09 ms."));
  CHECK_FALSE(says_part(timeline, "do not stand still"));
  int most = 0;
  for (const auto& [when, count] : timeline.stalled) most = std::max(most, count);
  CHECK(most == 2);
  CHECK(timeline.stalled.back().second == 0);
}

TEST_CASE("where a helper waits nobody stands still, and no sentence says that anybody does") {
  const Timeline timeline = made_amped().timeline();
  CHECK(timeline.stalls.empty());
  CHECK(says(timeline, "Helper 1 waits 10.1 ms for the disk for client 3."));
  CHECK(says(timeline, "The others do not stand still: 2 replies come meanwhile, from the loop."));
  CHECK_FALSE(says_part(timeline, "Nobody else gets a reply"));
  // The request's way: loop, helper, loop.
  const auto followed = request_to_follow(timeline);
  REQUIRE(followed);
  std::vector<std::string> way;
  for (const Hop& hop : timeline.requests[*followed].hops) way.push_back(timeline.lanes[hop.lane].name);
  CHECK(way == std::vector<std::string>{"loop", "helper 1", "loop"});
}

TEST_CASE("of two processes one goes on, and who is with the other stands still") {
  MadeTrace made;
  made.client(1, {{3000, 3100}, {5000, 5100}});
  made.client(2, {{4000, 12'300}});
  made.client(3, {{2000, 12'100}});
  const std::size_t first = made.lane("process 1", 100), second = made.lane("process 2", 101, LaneKind::worker, 101);
  made.accepts(first, 1);
  made.event(second, TraceKind::accepted, 12, 0, 0).amount = 40'002;
  made.event(second, TraceKind::accepted, 13, 0, 0).amount = 40'003;
  made.event(first, TraceKind::wait, 0, 100, 3010);
  made.event(first, TraceKind::step, 11, 3010, 3090);
  made.event(first, TraceKind::wait, 0, 3090, 5010);
  made.event(first, TraceKind::step, 11, 5010, 5090);
  made.event(second, TraceKind::wait, 0, 100, 2010);
  made.event(second, TraceKind::step_on_disk, 13, 2020, 12'090);
  made.event(second, TraceKind::step, 12, 12'200, 12'290);
  const Timeline timeline = made.timeline();
  CHECK(says(timeline, "Process 2 waits 10.1 ms for the disk for client 3."));
  CHECK(says(timeline,
             "Client 2 stands still meanwhile, for up to 8.09 ms; 2 replies to the others come from process 1."));
}

TEST_CASE("a parked user-level thread is told apart from the kernel thread that waits in its place") {
  MadeTrace made;
  made.client(1, {{3000, 3100}});
  made.client(3, {{2000, 12'300}});
  const std::size_t scheduler = made.lane("scheduler", 100),
                    thread_1 = made.lane("thread 1", 100, LaneKind::user_thread),
                    thread_2 = made.lane("thread 2", 100, LaneKind::user_thread),
                    kernel = made.lane("kernel worker 1", 105);
  made.accepts(thread_1, 1);
  made.event(thread_2, TraceKind::accepted, 13, 0, 0).amount = 40'003;
  made.event(scheduler, TraceKind::wait, 0, 100, 2000);
  made.event(thread_2, TraceKind::step, 13, 2010, 2040).want = static_cast<std::uint8_t>(Want::disk);
  made.event(kernel, TraceKind::step_on_disk, 13, 2060, 12'200);
  made.event(scheduler, TraceKind::wait, 0, 2050, 3000);
  made.event(thread_1, TraceKind::step, 11, 3010, 3090);
  made.event(scheduler, TraceKind::wait, 0, 3100, 12'210);
  made.event(thread_2, TraceKind::step, 13, 12'220, 12'280);
  const Timeline timeline = made.timeline();
  CHECK(timeline.stalls.empty());
  CHECK(says(timeline, "Kernel worker 1 waits 10.1 ms for the disk for client 3."));
  CHECK(
      says(timeline, "Thread 2, a user-level thread, is parked meanwhile; the kernel thread that it runs on is not."));
}

TEST_CASE("what the kernel says of a thread that could run is told apart from its wait") {
  MadeTrace made = made_sped();
  TraceEvent& wait = made.record().of_server[0].events[7];
  REQUIRE(wait.kind == TraceKind::step_on_disk);
  wait.cpu_ns = 70'000;
  wait.delay_ns = 2'000'000;
  const Timeline timeline = made.timeline();
  const TimelineLane& loop = timeline.lanes[3];
  CHECK(time_in(loop, LaneState::waiting_for_disk) == (10'070 - 70 - 2000) * 1000);
  CHECK(time_in(loop, LaneState::runnable) == 2'000'000);
  CHECK(says(timeline, "The loop could run and did not for 2.00 ms in all: others had the processor."));
  // More delay than there was time is cut.
  wait.delay_ns = 4'000'000'000;
  CHECK(time_in(made.timeline().lanes[3], LaneState::runnable) == 10'000 * 1000);
}

TEST_CASE("slices of a lane never overlap and lie within the timeline, whatever was recorded") {
  MadeTrace made = made_sped();
  // Out of order, of no length, beyond the end, of connections that nobody knows.
  made.event(0, TraceKind::step, 99, 5000, 6000);
  made.event(0, TraceKind::step_on_socket, 11, 13'000, 13'000);
  made.event(0, TraceKind::wait, 0, 13'000, 9'000'000);
  const Timeline timeline = made.timeline();
  for (const TimelineLane& lane : timeline.lanes) {
    std::int64_t before = 0;
    for (const Slice& slice : lane.slices) {
      CHECK(slice.begin_ns >= before);
      CHECK(slice.end_ns > slice.begin_ns);
      CHECK(slice.end_ns <= timeline.length_ns);
      before = slice.end_ns;
    }
  }
}

TEST_CASE("a thread that rests until another is done neither works nor waits for a socket") {
  MadeTrace made;
  made.client(1, {{1000, 5000}});
  const std::size_t stage = made.lane("stage 3", 100);
  made.accepts(stage, 1);
  made.event(stage, TraceKind::wait, 0, 100, 1010);
  made.event(stage, TraceKind::rest, 0, 1020, 4500);
  made.event(stage, TraceKind::wait, 0, 4600, 6000);
  const Timeline timeline = made.timeline();
  const TimelineLane& lane = timeline.lanes[1];
  CHECK(time_in(lane, LaneState::computing) == (10 + 100) * 1000);  // before it and after it
  CHECK(time_in(lane, LaneState::waiting_for_socket) < 1'000'000);
}

TEST_CASE("a scene begins when all clients have had their replies before it") {
  MadeTrace made = made_sped();
  made.record().replies_before = 1;
  // Client 3 has its first reply at 12.1 ms: what began before it is not in the picture.
  const Timeline timeline = [&] {
    made.client(4, {{20'000, 20'100}, {20'200, 20'300}});
    return made.timeline();
  }();
  for (const TracedRequest& request : timeline.requests) CHECK(request.client == 4);
  CHECK(timeline.length_ns < ms);
}

TEST_CASE("lost events, unanswered requests and contexts without a ring are told") {
  MadeTrace made = made_sped();
  made.client(4, {{11'000, -1}});
  made.record().of_server[0].lost = 77;
  made.record().unrecorded = 3;
  const Timeline timeline = made.timeline();
  CHECK(timeline.lost == 77);
  CHECK(says_part(timeline, "77 events are lost"));
  CHECK(says_part(timeline, "3 contexts of execution are not recorded"));
  CHECK(says(timeline, "1 request is without a reply when the trace ends."));
  CHECK_THROWS_AS(make_timeline(TraceRecord{}), UsageError);
}

TEST_CASE("Chrome's trace keeps the format's rules") {
  for (MadeTrace made : {made_sped(), made_amped()}) {
    const nlohmann::json trace = nlohmann::json::parse(to_chrome_trace(made.timeline()).dump());
    CHECK(faults_of_chrome_trace(trace) == std::vector<std::string>{});
    std::map<std::string, int> phases;
    std::set<std::string> names;
    for (const nlohmann::json& event : trace.at("traceEvents")) {
      ++phases[event.at("ph")];
      names.insert(event.at("name").get<std::string>());
    }
    for (const char* phase : {"M", "X", "C"}) CHECK(phases[phase] > 0);
    CHECK(phases["s"] == phases["f"]);
    for (const char* name : {"connections stalled", "disk queue", "send", "waiting for the disk"})
      CHECK(names.contains(name));
  }
  const nlohmann::json trace = to_chrome_trace(made_amped().timeline());
  const auto flows = std::count_if(trace.at("traceEvents").begin(), trace.at("traceEvents").end(),
                                   [](const nlohmann::json& event) { return event.at("ph") == "s"; });
  CHECK(flows == 1);  // of the one request that changes lanes
}

TEST_CASE("the check of Chrome's format finds each fault") {
  const nlohmann::json good = to_chrome_trace(made_amped().timeline());
  const auto faulty = [&](auto change, const std::string& part) {
    nlohmann::json trace = good;
    change(trace.at("traceEvents"));
    const std::vector<std::string> faults = faults_of_chrome_trace(trace);
    for (const std::string& fault : faults) UNSCOPED_INFO(fault);
    return std::any_of(faults.begin(), faults.end(),
                       [&](const std::string& fault) { return fault.find(part) != std::string::npos; });
  };
  const auto first = [](nlohmann::json& events, const char* phase) -> nlohmann::json& {
    return *std::find_if(events.begin(), events.end(),
                         [&](const nlohmann::json& event) { return event.value("ph", "") == phase; });
  };
  CHECK(faults_of_chrome_trace(nlohmann::json::array()).size() == 1);
  CHECK(faulty([&](auto& events) { first(events, "X").erase("dur"); }, "without a duration"));
  CHECK(faulty([&](auto& events) { first(events, "X").erase("ts"); }, "no time"));
  CHECK(faulty([&](auto& events) { first(events, "X").erase("pid"); }, "no process"));
  CHECK(faulty([&](auto& events) { first(events, "X").erase("tid"); }, "no thread"));
  CHECK(faulty([&](auto& events) { first(events, "X")["ph"] = "Q"; }, "no phase"));
  CHECK(faulty([&](auto& events) { first(events, "C").erase("args"); }, "counter"));
  CHECK(faulty([&](auto& events) { events.erase(events.begin()); }, "has no name"));
  CHECK(faulty([&](auto& events) { first(events, "f")["ph"] = "t"; }, "ends 0 times"));
  CHECK(faulty([&](auto& events) { first(events, "s")["ph"] = "t"; }, "before it begins"));
  CHECK(faulty([&](auto& events) { first(events, "s")["ts"] = 1e9; }, "in no slice"));
  CHECK(faulty(
      [&](auto& events) {
        nlohmann::json other = first(events, "X");
        other["ts"] = other["ts"].template get<double>() + other["dur"].template get<double>() / 2;
        events.push_back(other);
      },
      "overlap without nesting"));
}

TEST_CASE("the picture is well-formed, has its lanes, and says in words what it shows") {
  for (MadeTrace made : {made_sped(), made_amped()}) {
    made.record().server = "a <server> & \"others\" \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d";
    const Timeline timeline = made.timeline();
    const std::string svg = picture_svg(timeline, {.length_ns = 20 * ms});
    CHECK(test::is_well_formed(svg));
    for (const char* part :
         {"client 1", "client 3", "loop", "class=\"disk\"", "class=\"way\"", "stand still", "<desc>"})
      CHECK(svg.find(part) != std::string::npos);
    CHECK(svg.find("<server>") == std::string::npos);
    CHECK(svg.find("waits 10.1 ms for the disk") != std::string::npos);
  }
  CHECK(picture_svg(made_sped().timeline(), {}).find("class=\"still\"") != std::string::npos);
  CHECK(picture_svg(made_amped().timeline(), {}).find("class=\"still\" fill=\"#444444\" d=\"M") == std::string::npos);
}

TEST_CASE("the page has every sentence, every picture and every table, and asks nobody for anything") {
  std::vector<TracedServer> servers;
  for (MadeTrace made : {made_sped(), made_amped()}) {
    Timeline timeline = made.timeline();
    timeline.server = servers.empty() ? "sped" : "</script><b>amped</b>";
    TracedServer server{std::move(timeline), {}, servers.empty() ? "" : "the server was killed <here>"};
    server.sentences = sentences_of(server.timeline);
    servers.push_back(std::move(server));
  }
  const std::string page = timeline_page("Where <it> waits", "One.\n\nTwo & three.", servers);
  for (const TracedServer& server : servers) {
    for (const std::string& sentence : server.sentences) CHECK(page.find(sentence) != std::string::npos);
  }
  CHECK(page.find("<b>amped") == std::string::npos);
  CHECK(page.find("killed &lt;here&gt;") != std::string::npos);
  CHECK(page.find("Where <it>") == std::string::npos);
  const auto count = [&](const std::string& part) {
    std::size_t n = 0;
    for (std::size_t at = page.find(part); at != std::string::npos; at = page.find(part, at + 1)) ++n;
    return n;
  };
  CHECK(count("role=\"img\"") == 2);
  CHECK(count("<table>") == 4);
  CHECK(count("src=") == 0);
  CHECK_FALSE(std::regex_search(page, std::regex("(href|url)=?[\"(]?https?:")));
}
