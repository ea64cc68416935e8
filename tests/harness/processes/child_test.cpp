#include "harness/processes/child.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "core/base/errors.h"
#include "harness/machine/evidence.h"
#include "harness/machine/process_probe.h"
#include "harness/processes/affinity.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

Command shell(const std::string& script) { return {{"/bin/sh", "-c", script}, {}}; }

}  // namespace

TEST_CASE("a child's lines, errors and end are heard") {
  Reactor reactor;
  Child child(reactor, shell("echo one; echo two; echo complaint >&2; printf rest; exit 3"));
  CHECK(child.read_line(after_s(10)) == "one");
  CHECK(child.read_line(after_s(10)) == "two");
  REQUIRE(child.wait_for_end(after_s(10)));
  CHECK(child.rest_of_output() == "rest");
  CHECK(child.errors() == "complaint\n");
  CHECK(child.exit_status() == 3);
  CHECK(child.how_it_ended() == "exit status 3");
  CHECK_FALSE(child.read_line(after_s(10)));
}

TEST_CASE("a child may use what it is given, and does not inherit where the harness itself is pinned") {
  const std::vector<int>& usable = usable_processors();
  Reactor reactor;
  const auto allowed = [&](std::vector<int> processors) {
    return std::stoul(output_of(reactor, {{"/usr/bin/nproc"}, std::move(processors)}, 20));
  };
  {
    const Pin pin({usable.front()});
    CHECK(usable_processors() == usable);
    CHECK(allowed({}) == usable.size());
    CHECK(allowed({usable.back()}) == 1);
    cpu_set_t now;
    REQUIRE(sched_getaffinity(0, sizeof now, &now) == 0);
    CHECK(CPU_COUNT(&now) == 1);
  }
  cpu_set_t now;
  REQUIRE(sched_getaffinity(0, sizeof now, &now) == 0);
  CHECK(static_cast<std::size_t>(CPU_COUNT(&now)) == usable.size());
}

TEST_CASE("much output does not stop a child") {
  Reactor reactor;
  CHECK(output_of(reactor, shell("yes 0123456789 | head -c 1000000"), 20).size() == 1000000);
}

TEST_CASE("of output without end the beginning and the end are kept, and the child goes on") {
  Reactor reactor;
  Command command = shell("echo first; yes 0123456789 | head -c 100000000; echo last");
  command.kept_output_bytes = 64 << 10;
  Child child(reactor, command);
  std::size_t most = 0;
  reactor.wait_until(
      [&] {
        most = std::max(most, child.unread_output_bytes());
        return child.has_ended();
      },
      after_s(60));
  REQUIRE(child.wait_for_end(after_s(60)));
  CHECK(child.exit_status() == 0);
  CHECK(most <= 320 << 10);
  const std::string rest = child.rest_of_output();
  CHECK(rest.size() == 128 << 10);
  CHECK(rest.starts_with("first\n"));
  CHECK(rest.ends_with("last\n"));
}

TEST_CASE("a daemon is ended with the child that it came from, and nobody else is") {
  prctl(PR_SET_CHILD_SUBREAPER, 1);  // as start_guard() does
  {
    Reactor reactor;
    Child other(reactor, shell("sleep 1000"));
    // One of its parent's session no more, the parent alive; one whose parent ended at once; one that heeds no SIGTERM.
    Child child(reactor, shell("setsid sh -c 'echo $$; trap \"\" TERM; while :; do sleep 1; done' & "
                               "(setsid sh -c 'echo $$; exec sleep 1000' &) ; wait"));
    std::vector<pid_t> daemons;
    for (int i = 0; i < 2; ++i) daemons.push_back(std::stoi(child.read_line(after_s(20)).value()));
    reactor.wait_until([&] { return child.outside_of_group().size() >= 2; }, after_s(20));
    for (const pid_t daemon : daemons) {
      const auto outside = child.outside_of_group();
      CHECK(std::any_of(outside.begin(), outside.end(), [&](const Process& one) { return one.pid == daemon; }));
      CHECK(getpgid(daemon) != child.pid());
    }
    child.stop(0.2);
    CHECK(child.outside_of_group().empty());
    for (const pid_t daemon : daemons) CHECK(kill(daemon, 0) != 0);
    CHECK_FALSE(other.has_ended());
  }
  {
    // A daemon as textbooks have it: the child has ended before anybody looks.
    Reactor reactor;
    Child child(reactor, shell("(setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1 </dev/null' &)"));
    const pid_t daemon = std::stoi(child.read_line(after_s(20)).value());
    reactor.wait_until([&] { return child.has_ended(); }, after_s(20));
    CHECK(kill(daemon, 0) == 0);
    child.stop();
    CHECK(kill(daemon, 0) != 0);
  }
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_CASE("a program that is not there is said at once") {
  Reactor reactor;
  CHECK_THROWS_WITH(Child(reactor, {{"/no/such/program"}, {}}),
                    "cannot run /no/such/program: No such file or directory");
  CHECK_THROWS_WITH(output_of(reactor, shell("echo bad luck >&2; exit 1"), 10),
                    "/bin/sh ended with exit status 1: bad luck");
}

TEST_CASE("a signal that was ignored from the start interrupts nothing, and is not passed on to children") {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    INFO(number);
    const auto before = signal(number, SIG_IGN);
    {
      Reactor reactor;
      raise(number);
      CHECK_NOTHROW(reactor.wait_until([] { return true; }, after_s(0)));
      Child child(reactor, shell("kill -" + std::to_string(number) + " $$; exit 5"));
      REQUIRE(child.wait_for_end(after_s(10)));
      CHECK(child.how_it_ended().find("killed by signal " + std::to_string(number)) == 0);
    }
    signal(number, SIG_DFL);
    {
      Reactor reactor;
      raise(number);
      CHECK_THROWS_AS(reactor.wait_until([] { return true; }, after_s(0)), Interrupted);
    }
    signal(number, before);
  }
}

TEST_CASE("stop() asks politely, then takes the whole group down") {
  Reactor reactor;
  Child polite(reactor, shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"));
  REQUIRE(polite.read_line(after_s(10)) == "ready");
  CHECK(polite.stop(10));
  CHECK(polite.exit_status() == 0);

  Child stubborn(reactor, shell("trap '' TERM; sleep 1000 & echo ready; wait; sleep 1000"));
  REQUIRE(stubborn.read_line(after_s(10)) == "ready");
  CHECK_FALSE(stubborn.stop(0.1));
  CHECK(stubborn.how_it_ended() == "killed by signal 9 (Killed)");
  reactor.wait_until([&] { return kill(-stubborn.pid(), 0) != 0; }, after_s(10));
  CHECK(kill(-stubborn.pid(), 0) != 0);
  CHECK(errno == ESRCH);
}

TEST_CASE("a wait ends with its deadline, and with a signal at once") {
  Reactor reactor;
  Child child(reactor, shell("sleep 1000"));
  CHECK_FALSE(child.wait_for_end(after_s(0.01)));
  raise(SIGINT);
  CHECK_THROWS_AS(child.wait_for_end(after_s(1000)), Interrupted);
  CHECK(reactor.interrupted());
  CHECK(child.stop());  // clean-up goes on all the same
}

TEST_CASE("a group's use of the processor is seen, also of members that ended since") {
  Reactor reactor;
  Child child(reactor, shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo worked; read forever; :"));
  // Standard input is empty, so `read` ends at once; what matters is that the work was done by then.
  Child idle(reactor, shell("sleep 1000 & sleep 1000 & echo ready; wait"));
  REQUIRE(idle.read_line(after_s(10)) == "ready");
  SideProbe idle_probe(idle.pid(), {});
  const SideUse use = idle_probe.sample(true);
  CHECK(use.processes == 3);
  CHECK(use.tasks == 3);
  CHECK(use.cpu_s > 0);
  CHECK(use.cpu_s < 1);
  REQUIRE(use.proportional_bytes);
  CHECK(*use.proportional_bytes > 10'000);
  CHECK_FALSE(idle_probe.sample().proportional_bytes);
  idle.stop(0);
  CHECK(idle_probe.sample().cpu_s >= use.cpu_s);
}

TEST_CASE("the machine's processors and page cache can be read") {
  const auto sum = [](const ProcessorSeconds& states) {
    double seconds = 0;
    for (const auto& [state, value] : states) seconds += value;
    return seconds;
  };
  const ProcessorSeconds all = SideProbe(0, {}).processors(), first = SideProbe(0, {0}).processors();
  REQUIRE(all.contains("idle"));
  REQUIRE(first.contains("idle"));
  CHECK(sum(all) >= sum(first));
  CHECK(first.at("idle") <= sum(first));
  CHECK(SideProbe(0, {100000}).processors().empty());
  CHECK(page_cache_bytes());
}
