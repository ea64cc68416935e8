#include "harness/machine/doctor.h"

#include <algorithm>

#include "harness/machine/process_probe.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

namespace {

Machine healthy() {
  Machine machine;
  machine.processors = 4;
  machine.placement.note = "The server has processor 1, the client 2, the harness 0.";
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

Severity worst(const Machine& machine) {
  Severity severity = Severity::fine;
  for (const Finding& finding : diagnose(machine)) severity = std::max(severity, finding.severity);
  return severity;
}

}  // namespace

TEST_CASE("a healthy machine is told so") {
  CHECK(worst(healthy()) == Severity::fine);
  for (const Finding& finding : diagnose(healthy())) CHECK(finding.mend.empty());
}

TEST_CASE("what spoils a comparison is found, each with what mends it") {
  const auto spoilt_by = [](auto change) {
    Machine machine = healthy();
    change(machine);
    for (const Finding& finding : diagnose(machine))
      CHECK((finding.severity == Severity::fine) == finding.mend.empty());
    return worst(machine);
  };
  CHECK(spoilt_by([](Machine& m) { m.placement.server_shares_core = true; }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.placement.client_shares_core = true; }) == Severity::limits);
  CHECK(spoilt_by([](Machine& m) { m.busy_processors = 0.8; }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.stolen_share = 0.1; }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.away_share = 0.02; }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.away_share = 0.001; }) == Severity::limits);
  CHECK(spoilt_by([](Machine& m) { m.proactive_reclaim = {"/sys/kernel/mm/damon/admin/kdamonds/0/state"}; }) ==
        Severity::limits);
  CHECK(spoilt_by([](Machine& m) { m.processor_quota = 1.5; }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.governor = "powersave"; }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.clock_source = "hpet"; }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.free_memory_bytes = 1000; }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.swapped_bytes = std::uint64_t{1} << 30; }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.waiting_sockets = 30'000; }) ==
        Severity::fine);  // trials have networks of their own
  CHECK(spoilt_by([](Machine& m) { m.network_obstacle = "why"; }) == Severity::limits);
  CHECK(spoilt_by([](Machine& m) {
          m.network_obstacle = "why";
          m.waiting_sockets = 30'000;
        }) == Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.sysctls["net.ipv4.tcp_available_congestion_control"] = "reno bbr"; }) ==
        Severity::spoils);
  CHECK(spoilt_by([](Machine& m) { m.open_files = 1024; }) == Severity::limits);
  CHECK(spoilt_by([](Machine& m) { m.sysctls["net.core.somaxconn"] = "128"; }) == Severity::limits);
  CHECK(spoilt_by([](Machine& m) { m.sysctls["net.ipv4.ip_local_port_range"] = "50000 60000"; }) == Severity::limits);
  CHECK(spoilt_by([](Machine& m) { m.has_perf = false; }) == Severity::limits);
  CHECK(spoilt_by([](Machine& m) { m.has_fuse_device = false; }) == Severity::limits);
  CHECK(spoilt_by([](Machine& m) { m.missing_packages = {"h2o"}; }) == Severity::limits);
}

TEST_CASE("what cannot be found out is no finding") {
  Machine machine;
  machine.processors = 2;
  machine.has_perf = machine.has_fuse_device = machine.has_fusermount = machine.has_pressure_information = true;
  CHECK(worst(machine) == Severity::fine);
}

TEST_CASE("this machine can be examined") {
  const Machine machine = examine_machine();
  CHECK(machine.processors >= 1);
  CHECK(machine.open_files);
  CHECK_FALSE(diagnose(machine).empty());
}

TEST_CASE("the least quota of all levels of control groups counts, of both versions and below a container's root") {
  const test::TempDir dir;
  const auto make = [&](const std::string& group) {
    std::filesystem::create_directories(dir.path() / group);
    return group;
  };
  const auto quota = [&](const std::string& membership) { return processor_quota(membership, dir.path()); };
  make("parent/leaf");
  CHECK_FALSE(quota("0::/parent/leaf\n"));
  dir.write("parent/leaf/cpu.max", "max 100000\n");
  CHECK_FALSE(quota("0::/parent/leaf\n"));
  dir.write("parent/cpu.max", "50000 100000\n");
  CHECK(quota("0::/parent/leaf\n") == 0.5);
  dir.write("parent/leaf/cpu.max", "25000 100000\n");
  CHECK(quota("0::/parent/leaf\n") == 0.25);
  dir.write("cpu.max", "150000 100000\n");
  CHECK(quota("0::/docker/abc\n") == 1.5);  // the host's path: only the root is there
  make("cpu,cpuacct");
  dir.write("cpu,cpuacct/cpu.cfs_quota_us", "10000\n");
  dir.write("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  CHECK(quota("3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n") == 0.1);
  dir.write("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  CHECK(quota("3:cpu,cpuacct:/docker/abc\n1:cpuset:/\n") == std::nullopt);
}

TEST_CASE("a kernel that reclaims pages while memory is not short is noticed, and what switches it off") {
  const test::TempDir dir;
  CHECK(proactive_reclaim(dir.path()).empty());
  const auto has = [&](const std::vector<std::string>& files) {
    std::vector<std::string> expected;
    for (const std::string& file : files) expected.push_back((dir.path() / file).string());
    return proactive_reclaim(dir.path()) == expected;
  };
  const std::string thread = "kernel/mm/damon/admin/kdamonds/0/", module = "module/damon_reclaim/parameters/enabled";
  dir.write(thread + "state", "on\n");
  dir.write(thread + "contexts/0/schemes/0/action", "stat\n");
  dir.write(module, "N\n");
  CHECK(has({}));
  dir.write(thread + "contexts/0/schemes/1/action", "pageout\n");
  CHECK(has({thread + "state"}));
  dir.write(module, "Y\n");
  CHECK(has({module, thread + "state"}));
  dir.write(thread + "state", "off\n");
  CHECK(has({module}));
}
