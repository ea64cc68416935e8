#include "harness/ground/slow_disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"
#include "workloads/workload.h"

using namespace bakeoff;
namespace fs = std::filesystem;

namespace {

Specification slow_spec(const std::string& cache) {
  return parse_specification(
      "[workload]\nname = \"single-file\"\nset = { size_bytes = 100000 }\n[disk]\nmodel = \"constant\"\ncache = \"" +
          cache + "\"\n[load]\nconnections = 1\n[[server]]\narchitecture = \"sped\"\n",
      "exp.toml");
}

bool can_mount() {
  if (const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC); fd >= 0) {
    ::close(fd);
    if (fs::exists(fs::read_symlink("/proc/self/exe").parent_path() / "bakeoff-slowdisk")) return true;
  }
  WARN("skipped: there is no /dev/fuse, or bakeoff-slowdisk was not built");
  return false;
}

std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a slow disk is there while it lives, filled, and says what it did") {
  if (!can_mount()) return;
  const test::TempDir dir;
  Reactor reactor;
  Programs programs(reactor);
  const Workload workload = load_workload("single-file", {"size_bytes=100000"});
  const fs::path root = slow_disk_mountpoint(dir.path());
  for (const bool timeless : {true, false}) {
    SlowDisk disk(programs, slow_spec("1MB"), Cell{}, root, {}, timeless);
    const std::string bytes = slurp(root.string() + workload.files[0].path);
    CHECK(bytes.size() == 100'000);
    CHECK(content_matches(workload.files[0].content_seed, 0, bytes));
    const nlohmann::json statistics = disk.stop();
    REQUIRE(statistics.is_object());
    // What was filled in beforehand costs nothing; what was not is read.
    CHECK((statistics.at("reads") > 0) == timeless);
  }
  CHECK_FALSE(fs::exists(root));
}

TEST_CASE("what is left of a killed slow disk is removed at the next start") {
  if (!can_mount()) return;
  const test::TempDir dir;
  const fs::path mine = slow_disk_mountpoint(dir.path());
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path() / "bakeoff-slowdisk";
  fs::create_directories(mine);
  const fs::path others = dir.path() / "not-a-number";
  fs::create_directory(others);
  int lines[2];
  REQUIRE(::pipe(lines) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(lines[1], STDOUT_FILENO);
    ::execl(program.c_str(), program.c_str(), mine.c_str(), "--workload", "single-file", nullptr);
    ::_exit(127);
  }
  char byte;
  CHECK(::read(lines[0], &byte, 1) == 1);  // it is ready
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  ::close(lines[0]);
  ::close(lines[1]);
  struct stat status {};
  REQUIRE(::stat(mine.c_str(), &status) != 0);
  CHECK(slow_disk_mountpoint(dir.path()) == mine);
  CHECK_FALSE(fs::exists(mine));
  CHECK(fs::exists(others));
}

TEST_CASE("a slow disk that cannot be is refused in a sentence") {
  if (!can_mount()) return;
  const test::TempDir dir;
  Reactor reactor;
  Programs programs(reactor);
  Specification spec = slow_spec("1MB");
  spec.disk->model = "flopy";
  std::string said;
  try {
    const SlowDisk disk(programs, spec, Cell{}, slow_disk_mountpoint(dir.path()), {}, false);
  } catch (const StartError& error) {
    said = error.what();
  }
  CHECK(said.find("there is no disk `flopy`") != std::string::npos);
  CHECK(said.find('\n') == std::string::npos);
}
