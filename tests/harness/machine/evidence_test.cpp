#include "harness/machine/evidence.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <ctime>
#include <vector>

#include "harness/processes/child.h"
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

TEST_CASE("what is not available is null, with the cause beside it") {
  SideUse from, to;
  to.at = from.at + std::chrono::seconds(1);
  const json use = use_between(from, to);
  for (const char* name :
       {"user_s_per_s", "blocked_s_per_s", "proportional_bytes", "resident_bytes", "descriptors", "processors"}) {
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
  parse_counter_lines(
      "TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 3 17\nIpExt: InNoRoutes OutOctets\nIpExt: 0 123456789012\n",
      counts);
  CHECK(counts == std::map<std::string, std::uint64_t>{
                      {"SyncookiesSent", 3}, {"ListenOverflows", 17}, {"InNoRoutes", 0}, {"OutOctets", 123456789012}});
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

TEST_CASE("a program's CPU time stays in the account after it was killed, and its children's, too") {
  Reactor reactor;
  const double before_s = measurement_cpu_s();
  // The first leads its group and is killed; the second has a child do the work, and ends.
  Child killed(reactor, {{"/bin/sh", "-c", "while :; do :; done"}, {}});
  Child parent(reactor, {{"/bin/sh", "-c", "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; :"}, {}});
  SideProbe probe(killed.pid(), {});
  while (probe.sample().cpu_s < 0.1) reactor.sleep_until(after_s(0.02));
  kill(killed.pid(), SIGKILL);
  REQUIRE(killed.wait_for_end(after_s(60)));
  REQUIRE(parent.wait_for_end(after_s(60)));
  rusage use{};
  getrusage(RUSAGE_CHILDREN, &use);
  CHECK(measurement_cpu_s() - before_s >= 0.1);
  CHECK(measurement_cpu_s() >=
        static_cast<double>(use.ru_utime.tv_sec) + static_cast<double>(use.ru_utime.tv_usec) * 1e-6 - 0.02);
}

TEST_CASE("many processes that each use less than a clock tick are in the account") {
  const double before_s = measurement_cpu_s();
  constexpr int processes = 100;
  constexpr std::int64_t each_ns = 4'000'000;
  std::array<int, 2> end{}, used{};
  REQUIRE(pipe2(end.data(), O_CLOEXEC) == 0);
  REQUIRE(pipe2(used.data(), O_CLOEXEC) == 0);
  std::vector<pid_t> children;
  for (int i = 0; i < processes; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      close(end[1]);
      timespec now{};
      while (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), now.tv_sec == 0 && now.tv_nsec < each_ns) {
      }
      char byte = 0;
      _exit(write(used[1], "x", 1) == 1 && read(end[0], &byte, 1) == 0 ? 0 : 1);  // it lives until the end is closed
    }
    children.push_back(child);
  }
  char byte = 0;
  for (int i = 0; i < processes; ++i) REQUIRE(read(used[0], &byte, 1) == 1);
  CHECK(measurement_cpu_s() - before_s >= 0.95 * processes * each_ns * 1e-9);
  for (const int fd : {end[0], end[1], used[0], used[1]}) close(fd);
  for (const pid_t child : children) waitpid(child, nullptr, 0);
}

TEST_CASE("a drift is the second half over the first, as a logarithm") {
  CHECK(*drift_of({100, 100, 100, 100, 100, 100}) == Approx(0).margin(1e-12));
  CHECK(*drift_of({50, 50, 50, 100, 100, 100}) == Approx(std::log(2)));
  CHECK(*drift_of({100, 100, 100, 50, 50, 50}) == Approx(-std::log(2)));
  CHECK(*drift_of({1, 2, 3, 4, 5, 6, 7}) == Approx(std::log(5.5 / 2)));  // the odd span is the second half's
  CHECK_FALSE(drift_of({1, 2, 3, 4, 5}));
  CHECK_FALSE(drift_of({0, 0, 0, 0, 0, 0}));
  CHECK_FALSE(drift_of({0, 0, 0, 5, 5, 5}));  // no logarithm
}

TEST_CASE("what others took is what was neither idle nor our own") {
  const ProcessorSeconds from = {{"user", 10}, {"system", 5}, {"idle", 100}, {"iowait", 3}, {"softirq", 1}};
  const ProcessorSeconds to = {{"user", 11},  {"system", 5.5},   {"idle", 107},
                               {"iowait", 8}, {"softirq", 1.25}, {"steal", 0.25}};
  CHECK(taken_by_others_s(from, to, 0) == Approx(2));
  CHECK(taken_by_others_s(from, to, 1.5) == Approx(0.5));
  CHECK(taken_by_others_s(from, to, 3) == 0);  // clocks that differ a little
  CHECK(taken_by_others_s({}, {}, 0) == 0);    // it cannot be read
}
