#include "harness/machine/doctor.h"

#include <algorithm>

#include "tests/catch.h"

using namespace bakeoff;

namespace {

Machine healthy() {
  Machine machine;
  machine.processors = 4;
  machine.busy_processors = 0.02;
  machine.stolen_share = 0;
  machine.away_share = 0;
  machine.governor = "performance";
  machine.clock_source = "tsc";
  machine.open_files = 1'048'576;
  machine.free_memory_bytes = std::uint64_t{8} << 30;
  machine.swapped_bytes = 0;
  machine.sysctls = {{"net.core.somaxconn", "4096"},
                     {"net.ipv4.ip_local_port_range", "32768\t60999"},
                     {"net.ipv4.tcp_available_congestion_control", "reno cubic"},
                     {"kernel.task_delayacct", "1"},
                     {"kernel.perf_event_paranoid", "-1"}};
  machine.has_perf = machine.has_fuse_device = machine.has_fusermount = machine.has_pressure_information = true;
  return machine;
}

Gravity worst(const Machine& machine) {
  Gravity gravity = Gravity::fine;
  for (const Finding& finding : diagnose(machine)) gravity = std::max(gravity, finding.gravity);
  return gravity;
}

}  // namespace

TEST_CASE("a healthy machine is told so") {
  CHECK(worst(healthy()) == Gravity::fine);
  for (const Finding& finding : diagnose(healthy())) CHECK(finding.mend.empty());
}

TEST_CASE("what spoils a comparison is found, each with what mends it") {
  const auto spoilt_by = [](auto change) {
    Machine machine = healthy();
    change(machine);
    for (const Finding& finding : diagnose(machine)) CHECK((finding.gravity == Gravity::fine) == finding.mend.empty());
    return worst(machine);
  };
  CHECK(spoilt_by([](Machine& m) { m.processors = 1; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.busy_processors = 0.8; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.stolen_share = 0.1; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.away_share = 0.02; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.away_share = 0.001; }) == Gravity::limits);
  CHECK(spoilt_by([](Machine& m) { m.processor_quota = 1.5; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.governor = "powersave"; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.clock_source = "hpet"; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.free_memory_bytes = 1000; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.swapped_bytes = std::uint64_t{1} << 30; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.waiting_sockets = 30'000; }) == Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.sysctls["net.ipv4.tcp_available_congestion_control"] = "reno bbr"; }) ==
        Gravity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.open_files = 1024; }) == Gravity::limits);
  CHECK(spoilt_by([](Machine& m) { m.sysctls["net.core.somaxconn"] = "128"; }) == Gravity::limits);
  CHECK(spoilt_by([](Machine& m) { m.sysctls["net.ipv4.ip_local_port_range"] = "50000 60000"; }) == Gravity::limits);
  CHECK(spoilt_by([](Machine& m) { m.has_perf = false; }) == Gravity::limits);
  CHECK(spoilt_by([](Machine& m) { m.has_fuse_device = false; }) == Gravity::limits);
  CHECK(spoilt_by([](Machine& m) { m.missing_packages = {"h2o"}; }) == Gravity::limits);
}

TEST_CASE("what cannot be found out is no finding") {
  Machine machine;
  machine.processors = 2;
  machine.has_perf = machine.has_fuse_device = machine.has_fusermount = machine.has_pressure_information = true;
  CHECK(worst(machine) == Gravity::fine);
}

TEST_CASE("this machine can be examined") {
  const Machine machine = examine_machine();
  CHECK(machine.processors >= 1);
  CHECK(machine.open_files);
  CHECK_FALSE(diagnose(machine).empty());
}
