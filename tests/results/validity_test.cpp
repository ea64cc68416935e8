#include "results/validity.h"

#include "tests/catch.h"

using namespace bakeoff;

namespace {

// 64 connections, 6,400 replies/s of 10 ms: Little's law holds exactly, and nothing else is wrong.
ClientReport sound() {
  ClientReport client;
  client.replies = 6400;
  client.replies_per_s = 6400;
  client.latency_mean_ms = 10;
  client.connections_asked = client.connections_opened = 64;
  client.client_cpu_share = 0.5;
  client.classes = {{102, 3200, 0}, {921600, 3200, 0}};
  return client;
}

std::vector<std::string> judge(const ClientReport& client, std::optional<double> busy = 0.5) {
  return broken_rules(client, busy, ValidityLimits{});
}

using Reasons = std::vector<std::string>;

}  // namespace

TEST_CASE("a sound trial breaks no rule") { CHECK(judge(sound()) == Reasons{}); }

TEST_CASE("time-outs may be a tenth of the requests, not more") {
  ClientReport client = sound();
  client.replies = 900;
  client.timeouts = 100;
  CHECK(judge(client) == Reasons{});
  client.timeouts = 101;
  CHECK(judge(client) == Reasons{"time-outs 10.1 %"});
}

TEST_CASE("no file size may time out two points more often than all do") {
  ClientReport client = sound();
  client.replies = 970;
  client.timeouts = 30;
  client.classes = {{102, 500, 5}, {921600, 500, 25}};  // 1 % and 5 %, over all 3 %
  CHECK(judge(client) == Reasons{});
  client.classes = {{102, 500, 4}, {921600, 500, 26}};
  CHECK(judge(client) == Reasons{"time-outs of files of 921600 B 5.2 %, over all 3 %"});
}

TEST_CASE("clients must be open and served") {
  ClientReport client = sound();
  client.connections_asked = 65;
  CHECK(judge(client) == Reasons{"connections open 64 of 65"});
  client = sound();
  client.starved_connections = 1;
  CHECK(judge(client) == Reasons{"clients starved 1 of 64"});
}

TEST_CASE("Little's law holds within 5 % in a closed loop with keep-alive") {
  ClientReport client = sound();
  client.latency_mean_ms = 10.4;
  CHECK(judge(client) == Reasons{});
  client.latency_mean_ms = 10.6;
  CHECK(judge(client) == Reasons{"Little's law off by 6 %"});
  client.latency_mean_ms = 9.4;
  CHECK(judge(client) == Reasons{"Little's law off by -6 %"});
  client.in_flight_mean = 64;  // known exactly: short trials with long requests need it
  CHECK(judge(client) == Reasons{});
  client.in_flight_mean = 60;
  CHECK(judge(client) == Reasons{"Little's law off by -6.25 %"});
  client.keep_alive = false;
  CHECK(judge(client) == Reasons{});
}

TEST_CASE("in an open loop 99 % of the offered load must be achieved") {
  ClientReport client = sound();
  client.latency_mean_ms = 3;
  client.offered_per_s = 6464;
  CHECK(judge(client) == Reasons{});
  client.offered_per_s = 6500;
  CHECK(judge(client) == Reasons{"achieved 98.5 % of the offered load"});
}

TEST_CASE("a busy client is the bottleneck only while the server idles") {
  ClientReport client = sound();
  client.client_cpu_share = 0.97;
  CHECK(judge(client, 0.99) == Reasons{});
  CHECK(judge(client, 0.80) == Reasons{"client out of CPU while the server idled"});
  CHECK(judge(client, std::nullopt) == Reasons{"client out of CPU"});
}

TEST_CASE("errors and wrong replies do not count as service") {
  ClientReport client = sound();
  client.failures = 60;
  CHECK(judge(client) == Reasons{});
  client.failures = 70;
  CHECK(judge(client) == Reasons{"errors 1.08 %"});
  client = sound();
  client.wrong_replies = 1;
  CHECK(judge(client) == Reasons{"1 replies with wrong bytes or length"});
}

TEST_CASE("without a reply there is nothing else to say") {
  ClientReport client = sound();
  client.replies = 0;
  client.starved_connections = 64;
  CHECK(judge(client) == Reasons{"no replies"});
}
