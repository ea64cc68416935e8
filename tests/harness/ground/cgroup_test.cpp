#include "harness/ground/cgroup.h"

#include <sys/wait.h>
#include <unistd.h>

#include "core/base/errors.h"
#include "harness/machine/process_probe.h"
#include "harness/processes/child.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
namespace fs = std::filesystem;

namespace {

std::string error_of(const DiskSpec& disk, const fs::path& files, const fs::path& root) {
  try {
    const ServerLimits limits(disk, files, root);
  } catch (const StartError& error) {
    return error.what();
  }
  return "no error";
}

// A process that has ended, so that its number means nobody.
pid_t dead_process() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  ::waitpid(pid, nullptr, 0);
  return pid;
}

}  // namespace

TEST_CASE("either version of the control groups is found, also side by side") {
  const test::TempDir dir;
  CHECK(cgroup_version("memory", dir.path()) == 0);
  dir.write("memory/cgroup.procs", "");
  dir.write("unified/cgroup.controllers", "hugetlb io\n");
  CHECK(cgroup_version("memory", dir.path()) == 1);
  CHECK(cgroup_version("blkio", dir.path()) == 2);
  const test::TempDir pure;
  pure.write("cgroup.controllers", "cpu io memory pids\n");
  CHECK(cgroup_version("memory", pure.path()) == 2);
  CHECK(cgroup_version("blkio", pure.path()) == 2);
}

TEST_CASE("without control groups one sentence says so") {
  const test::TempDir dir;
  DiskSpec disk;
  disk.memory_bytes = 1 << 30;
  CHECK(error_of(disk, dir.path(), dir.path()).find("needs the kernel's memory control group") != std::string::npos);
  // A place where groups cannot be made: it is no control group, and has no memory.max to write.
  dir.write("cgroup.controllers", "memory\n");
  dir.write("cgroup.subtree_control", "memory\n");
  CHECK(error_of(disk, dir.path(), dir.path()).find("cannot write 1073741824 to ") != std::string::npos);
  CHECK_FALSE(fs::exists(dir.path() / ("bakeoff-" + std::to_string(::getpid()))));
}

TEST_CASE("what a dead process left is removed, and nothing else") {
  const test::TempDir dir;
  dir.write("cgroup.controllers", "memory\n");
  dir.write("cgroup.subtree_control", "memory\n");
  const fs::path dead = dir.path() / ("bakeoff-" + std::to_string(dead_process()));
  const fs::path living = dir.path() / ("bakeoff-" + std::to_string(::getppid()));
  const fs::path foreign = dir.path() / "bakeoff-x";
  for (const fs::path& group : {dead, living, foreign}) fs::create_directory(group);
  DiskSpec disk;
  disk.memory_bytes = 1 << 30;
  error_of(disk, dir.path(), dir.path());
  CHECK_FALSE(fs::exists(dead));
  CHECK(fs::exists(living));
  CHECK(fs::exists(foreign));
}

TEST_CASE("a child enters its group, and the group goes with it") {
  DiskSpec disk;
  disk.memory_bytes = 256 << 20;
  disk.reads_per_s = 1000;
  std::unique_ptr<ServerLimits> limits;
  const test::TempDir dir;
  try {
    limits = std::make_unique<ServerLimits>(disk, dir.path());
  } catch (const StartError& error) {
    WARN("skipped: " << error.what());  // root's alone, and on a disk
    return;
  }
  Reactor reactor;
  Child child(reactor, {{"/bin/cat", "/proc/self/cgroup"}, {}, limits->entrances()});
  REQUIRE(child.wait_for_end(after_s(30)));
  CHECK(child.rest_of_output().find("/bakeoff-" + std::to_string(::getpid())) != std::string::npos);
  std::vector<fs::path> groups;
  for (const std::string& entrance : limits->entrances()) groups.push_back(fs::path(entrance).parent_path());
  const fs::path memory = groups.front() / (cgroup_version("memory") == 1 ? "memory.limit_in_bytes" : "memory.max");
  CHECK(read_small_file(memory) == std::to_string(256 << 20) + "\n");
  limits.reset();
  for (const fs::path& group : groups) CHECK_FALSE(fs::exists(group));
}

TEST_CASE("a child that cannot enter its group says so and does not run") {
  Reactor reactor;
  CHECK_THROWS_AS(Child(reactor, {{"/bin/true"}, {}, {"/nowhere/cgroup.procs"}}), StartError);
}
