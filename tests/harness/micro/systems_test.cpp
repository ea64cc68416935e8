#include "harness/micro/systems.h"

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("every system does tasks, and knows the latency of each") {
  for (const std::string_view name : micro_systems()) {
    for (const std::uint32_t tasks : {1u, 64u}) {
      INFO(name << " with " << tasks);
      const MicroFigures figures = run_micro_system(name, {.tasks = tasks, .warmup_s = 0.01, .duration_s = 0.1});
      CHECK(figures.done > 0);
      CHECK(figures.latency.count() == figures.done);
      CHECK(figures.duration_s >= 0.1 - 0.05);  // from the first task done after the warm-up
      CHECK(figures.cpu_s > 0);
      // Little's law: what is in the system is what leaves it per second times how long it stays. It falls short by the
      // tasks that never leave: those of kernel threads that lost their processor, which can be most.
      const double in_system =
          static_cast<double>(figures.done) / figures.duration_s * figures.latency.mean_ns() * 1e-9;
      if (figures.done < 20 * tasks) continue;  // a machine that let nobody run: the first and the last are most of all
      if (name != "kernel-threads") CHECK(in_system > 0.5 * tasks);
      CHECK(in_system < 2.0 * tasks + 1);
    }
  }
}

TEST_CASE("user-level threads switch once a task, without the kernel") {
  const MicroFigures figures = run_micro_system("user-threads", {.tasks = 1000, .warmup_s = 0, .duration_s = 0.2});
  CHECK(figures.done > 0);
  CHECK(figures.user_switches + 1000 >= figures.done);
  CHECK(figures.user_switches <= figures.done + 1000);
}

TEST_CASE("a system that is not there is refused") { CHECK_THROWS_AS(run_micro_system("fibres", {}), UsageError); }
