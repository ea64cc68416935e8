#include "harness/processes/child.h"

#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "core/base/errors.h"
#include "harness/machine/process_probe.h"
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

TEST_CASE("much output does not stop a child") {
  Reactor reactor;
  CHECK(output_of(reactor, shell("yes 0123456789 | head -c 1000000"), 20).size() == 1000000);
}

TEST_CASE("a program that is not there is said at once") {
  Reactor reactor;
  CHECK_THROWS_WITH(Child(reactor, {{"/no/such/program"}, {}}), "cannot run /no/such/program: No such file or directory");
  CHECK_THROWS_WITH(output_of(reactor, shell("echo bad luck >&2; exit 1"), 10), "/bin/sh ended with exit status 1: bad luck");
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
  GroupProbe idle_probe(idle.pid());
  const GroupUse use = idle_probe.sample();
  CHECK(use.processes == 3);
  CHECK(use.total.cpu_ns > 0);
  CHECK(use.total.cpu_ns < 1'000'000'000);
  REQUIRE(idle_probe.memory_bytes());
  CHECK(*idle_probe.memory_bytes() > 10'000);
  idle.stop(0);
  CHECK(idle_probe.sample().total.cpu_ns >= use.total.cpu_ns);
}

TEST_CASE("the machine's processors and page cache can be read") {
  const auto all = processor_times({}), first = processor_times({0});
  REQUIRE(all);
  REQUIRE(first);
  CHECK(all->total_s >= first->total_s);
  CHECK(first->idle_s <= first->total_s);
  CHECK_FALSE(processor_times({100000}));
  CHECK(page_cache_bytes());
}
