#include "harness/machine/evidence.h"

#include <unistd.h>

#include <ctime>

#include "tests/catch.h"

using namespace bakeoff;
using nlohmann::json;

TEST_CASE("what a side used is told per second of the time between two samples") {
  SideUse from, to;
  from.at = SteadyTime{};
  to.at = from.at + std::chrono::seconds(2);
  to.cpu_s = 1;
  from.user_s = from.system_s = 0;
  to.user_s = 0.3;
  to.system_s = 0.7;
  to.run_queue_s = 0.5;
  to.voluntary_switches = 100;
  from.disk_wait_s = 1;
  to.disk_wait_s = 1.5;
  to.resident_bytes = 4096;
  from.processors_s = {{"user", 1.0}, {"idle", 1.0}};
  to.processors_s = {{"user", 1.5}, {"idle", 2.5}};
  const json use = use_between(from, to);
  CHECK(use["cpu_s_per_s"] == 0.5);
  CHECK(use["user_s_per_s"].get<double>() == Approx(0.15));
  CHECK(use["system_s_per_s"].get<double>() == Approx(0.35));
  CHECK(use["run_queue_s_per_s"] == 0.25);
  CHECK(use["voluntary_switches_per_s"] == 50.0);
  CHECK(use["blocked_s_per_s"] == 0.25);
  CHECK(use["processors"]["user"] == 0.25);
  CHECK(use["resident_bytes"] == 4096);
}

TEST_CASE("what could not be had is null, with the cause beside it") {
  SideUse from, to;
  to.at = from.at + std::chrono::seconds(1);
  const json use = use_between(from, to);
  for (const char* name : {"user_s_per_s", "blocked_s_per_s", "proportional_bytes", "resident_bytes", "descriptors", "processors"}) {
    CAPTURE(name);
    CHECK(use[name].is_null());
    CHECK_FALSE(use["unavailable"][name].get<std::string>().empty());
  }
  const json tcp = tcp_between({}, {});
  CHECK(tcp["retransmits"].is_null());
  CHECK(tcp["unavailable"].contains("retransmits"));
}

TEST_CASE("the kernel's counters are read by name") {
  std::map<std::string, std::uint64_t> counts;
  parse_counter_lines("TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 3 17\nIpExt: InNoRoutes OutOctets\nIpExt: 0 123456789012\n", counts);
  CHECK(counts == std::map<std::string, std::uint64_t>{{"SyncookiesSent", 3}, {"ListenOverflows", 17}, {"InNoRoutes", 0}, {"OutOctets", 123456789012}});
  TcpCounters from, to;
  from.counts = {{"ListenOverflows", 10}};
  to.counts = {{"ListenOverflows", 17}};
  from.time_wait = 5;
  const json tcp = tcp_between(from, to);
  CHECK(tcp["listen_overflows"] == 7);
  CHECK(tcp["time_wait"] == json{{"before", 5}, {"after", nullptr}});
}

TEST_CASE("this process can be watched") {
  SideProbe probe(getpgrp(), {});
  const SideUse from = probe.sample();
  // More than a few clock ticks: the kernel brings the account of a running task up to date no more often.
  const std::clock_t begun = std::clock();
  while (std::clock() - begun < CLOCKS_PER_SEC / 20) {
  }
  const SideUse to = probe.sample();
  CHECK(to.cpu_s > from.cpu_s);
  CHECK(to.resident_bytes.value_or(0) > 0);
  CHECK(to.descriptors.value_or(0) > 0);
}

TEST_CASE("a drift is told from chance") {
  CHECK(has_settled({100, 101, 99, 100, 100, 101}, 0.1) == true);
  CHECK(has_settled({50, 60, 70, 100, 101, 100}, 0.1) == false);
  CHECK(has_settled({100, 100, 100, 100, 99, 10}, 0.1) == true);  // one slow span is no drift
  CHECK_FALSE(has_settled({1, 2, 3, 4, 5}, 0.1));
  CHECK_FALSE(has_settled({0, 0, 0, 0, 0, 0}, 0.1));
}
