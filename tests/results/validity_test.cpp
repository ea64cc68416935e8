#include "results/validity.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"

using namespace bakeoff;

namespace {

// 64 connections that always have a request under way, 6,400 replies in a second: Little's law holds exactly, and
// nothing else is wrong.
LoadCounts sound() {
  LoadCounts counts;
  counts.measured_s = 1;
  counts.replies = 6400;
  counts.in_flight_s = 64;
  counts.connections_asked = counts.connections_opened = 64;
  counts.busiest_client_s = 0.5;
  counts.server_busy_s = 0.4;
  counts.server_sampled_s = 0.8;
  counts.classes = {{102, 3200, 0}, {921600, 3200, 0}};
  return counts;
}

std::vector<std::string> judge(const LoadCounts& counts) {
  std::vector<std::string> texts;
  for (const BrokenRule& rule : broken_rules(counts, ValidityLimits{})) texts.push_back(rule.text);
  return texts;
}

Side side_of(const LoadCounts& counts) {
  const std::vector<BrokenRule> broken = broken_rules(counts, ValidityLimits{});
  REQUIRE(broken.size() == 1);
  return broken.front().side;
}

using Reasons = std::vector<std::string>;

}  // namespace

TEST_CASE("a sound trial breaks no rule") { CHECK(judge(sound()) == Reasons{}); }

TEST_CASE("time-outs may be a tenth of the requests, not more") {
  LoadCounts counts = sound();
  counts.replies = 900;
  counts.timeouts = 100;
  CHECK(judge(counts) == Reasons{});
  counts.timeouts = 101;
  CHECK(judge(counts) == Reasons{"time-outs 10.1 %"});
  CHECK(side_of(counts) == Side::server);
}

TEST_CASE("no file size may time out two points more often than all do") {
  LoadCounts counts = sound();
  counts.replies = 970;
  counts.timeouts = 30;
  counts.classes = {{102, 500, 5}, {921600, 500, 25}};  // 1 % and 5 %, over all 3 %
  CHECK(judge(counts) == Reasons{});
  counts.classes = {{102, 500, 4}, {921600, 500, 26}};
  CHECK(judge(counts) == Reasons{"time-outs of files of 921600 B 5.2 %, over all 3 %"});
  CHECK(side_of(counts) == Side::server);
}

TEST_CASE("clients must be open and served") {
  LoadCounts counts = sound();
  counts.connections_asked = 65;
  CHECK(judge(counts) == Reasons{"connections open 64 of 65"});
  CHECK(side_of(counts) == Side::client);
  counts = sound();
  counts.starved_connections = 3;  // of 64: less than one in twenty
  CHECK(judge(counts) == Reasons{});
  counts.starved_connections = 4;
  CHECK(judge(counts) == Reasons{"clients starved 4 of 64"});
  CHECK(side_of(counts) == Side::server);
  counts = sound();
  counts.without_port = 1;
  CHECK(judge(counts) == Reasons{"the client ran out of ports"});
  CHECK(side_of(counts) == Side::client);
}

TEST_CASE("Little's law holds within 5 % in a closed loop with keep-alive") {
  LoadCounts counts = sound();
  counts.in_flight_s = 64 * 1.04;
  CHECK(judge(counts) == Reasons{});
  counts.in_flight_s = 64 * 1.06;
  CHECK(judge(counts) == Reasons{"Little's law off by 6 %"});
  counts.in_flight_s = 64 * 0.94;
  CHECK(judge(counts) == Reasons{"Little's law off by -6 %"});
  CHECK(side_of(counts) == Side::client);
  counts.in_flight_s.reset();  // connections are set up again and again, or clients think
  CHECK(judge(counts) == Reasons{});
}

TEST_CASE("in an open loop 99 % of the offered load must be achieved") {
  LoadCounts counts = sound();
  counts.in_flight_s.reset();
  counts.offered = 6464;
  CHECK(judge(counts) == Reasons{});
  counts.offered = 6500;
  CHECK(judge(counts) == Reasons{"achieved 98.5 % of the offered load"});
  CHECK(side_of(counts) == Side::server);
}

TEST_CASE("a busy client is the bottleneck only while the server idles") {
  LoadCounts counts = sound();
  counts.busiest_client_s = 0.97;
  counts.server_busy_s = 0.99 * 0.8;
  CHECK(judge(counts) == Reasons{});
  counts.server_busy_s = 0.80 * 0.8;
  CHECK(judge(counts) == Reasons{"client out of CPU while the server idled"});
  CHECK(side_of(counts) == Side::client);
  counts.server_busy_s.reset();
  CHECK(judge(counts) == Reasons{"client out of CPU"});
  counts.busiest_client_s = 0.95;
  CHECK(judge(counts) == Reasons{});
}

TEST_CASE("errors and wrong replies do not count as service") {
  LoadCounts counts = sound();
  counts.failures = 60;
  CHECK(judge(counts) == Reasons{});
  counts.failures = 70;
  CHECK(judge(counts) == Reasons{"errors 1.08 %"});
  counts.kinds = {{"bad_status", 2}, {"reset", 9}};
  CHECK(judge(counts) == Reasons{"errors 1.08 %: reset 9, bad_status 2"});
  CHECK(counts_from_json(to_json(counts)).kinds == counts.kinds);
  CHECK((counts + counts).kinds.at("reset") == 18);
  counts.kinds.clear();
  CHECK(side_of(counts) == Side::server);
  counts = sound();
  counts.wrong_replies = 1;
  CHECK(judge(counts) == Reasons{"1 replies with wrong bytes or length"});
  CHECK(side_of(counts) == Side::server);
}

TEST_CASE("without a reply there is nothing else to say") {
  LoadCounts counts = sound();
  counts.replies = 0;
  counts.offered = 100;
  counts.in_flight_s = 1;
  counts.busiest_client_s = 1;
  CHECK(judge(counts) == Reasons{"no replies"});
  counts.starved_connections = 64;
  CHECK(judge(counts) == Reasons{"no replies", "clients starved 64 of 64"});
}

TEST_CASE("counts of several trials add up, and are judged together") {
  LoadCounts first = sound(), second = sound();
  first.offered = 6400;
  first.replies = 5000;
  first.timeouts = 1400;
  first.classes = {{102, 3200, 1400}};
  second.offered = 6500;
  second.measured_s = 2;
  second.failures = 5;
  second.wrong_replies = 1;
  second.without_port = 2;
  second.starved_connections = 7;
  second.classes = {{921600, 3200, 1}, {102, 100, 0}};
  const LoadCounts both = first + second;
  CHECK(both.trials == 2);
  CHECK(both.measured_s == 3);
  CHECK(both.replies == 11400);
  CHECK(both.timeouts == 1400);
  CHECK(both.failures == 5);
  CHECK(both.wrong_replies == 1);
  CHECK(both.without_port == 2);
  CHECK(both.offered == 12900);
  CHECK(both.connections_asked == 128);
  CHECK(both.connections_opened == 128);
  CHECK(both.starved_connections == 7);
  CHECK(both.in_flight_s == 128.0);
  CHECK(*both.busiest_client_s == Approx(1));
  CHECK(*both.server_busy_s == Approx(0.8));
  CHECK(both.server_sampled_s == Approx(1.6));
  REQUIRE(both.classes.size() == 2);
  CHECK(both.classes[0].size_bytes == 102);
  CHECK(both.classes[0].attempts == 3300);
  CHECK(both.classes[0].timeouts == 1400);
  CHECK(both.classes[1].attempts == 3200);
  CHECK(both.classes[1].timeouts == 1);

  // 21.9 % of one trial's requests timed out, of all requests less than a tenth.
  LoadCounts bad = sound(), good = sound();
  bad.replies = 5000;
  bad.timeouts = 1400;
  bad.classes = good.classes = {};
  CHECK(judge(bad) == Reasons{"time-outs 21.9 %"});
  CHECK(judge(bad + good + good) == Reasons{});
  CHECK(judge(bad + bad) == Reasons{"time-outs 21.9 %"});
}

TEST_CASE("Little's law and the busy client hold for several trials of different lengths as for one") {
  LoadCounts brief = sound(), lengthy = sound();
  lengthy.measured_s = 3;
  lengthy.in_flight_s = 3 * 64.0;
  lengthy.busiest_client_s = 3 * 0.97;
  lengthy.server_busy_s = 3 * 0.4;
  lengthy.server_sampled_s = 3 * 0.8;
  brief.busiest_client_s = 0.97;
  CHECK(judge(brief + lengthy) == Reasons{"client out of CPU while the server idled"});
  brief.busiest_client_s = 0.8;
  CHECK(judge(brief + lengthy) == Reasons{});
}

TEST_CASE("what one of two trials cannot tell, their sum does not claim") {
  LoadCounts without = sound();
  without.in_flight_s.reset();
  without.busiest_client_s.reset();
  const LoadCounts both = sound() + without;
  CHECK_FALSE(both.in_flight_s);
  CHECK_FALSE(both.offered);
  CHECK_FALSE(both.busiest_client_s);
}

TEST_CASE("a trial that could not look at the server does not hide that it was saturated in the others") {
  LoadCounts counts = sound(), blind = sound();
  counts.busiest_client_s = blind.busiest_client_s = 0.97;
  counts.server_busy_s = 0.8;
  blind.server_busy_s.reset();
  blind.server_sampled_s = 0;
  CHECK(judge(counts + blind) == Reasons{});
  CHECK(judge(blind + counts) == Reasons{});
  CHECK(judge(blind + blind) == Reasons{"client out of CPU"});
}

TEST_CASE("counts survive being written and read") {
  LoadCounts counts = sound();
  counts.offered = 7000;
  const nlohmann::json written = to_json(counts + sound());
  CHECK(to_json(counts_from_json(written)) == written);
  CHECK(to_json(counts_from_json(to_json(counts))) == to_json(counts));
  CHECK_THROWS_AS(counts_from_json(nlohmann::json::object()), nlohmann::json::exception);
}
