#include "harness/run/run_folder.h"

#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

namespace {

Trial trial(std::uint32_t block) {
  Trial one;
  one.key = {Phase::sweep, block, "sped/connections=64/workers=1"};
  one.started = "2024-05-01T12:00:00Z";
  one.figures[Metric::throughput_mbps] = 100 + block;
  return one;
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string line(std::uint32_t block) { return to_json(trial(block)).dump() + "\n"; }

}  // namespace

TEST_CASE("trials are there again when the folder is opened again") {
  const test::TempDir dir;
  {
    RunFolder folder = RunFolder::create(dir.path() / "run");
    folder.write("spec.toml", "x");
    folder.write("plan.json", "{}");
    folder.append(trial(0));
    folder.append(trial(1));
    CHECK(read_file(dir.path() / "run/trials.jsonl") == line(0) + line(1));
  }
  const auto trials = RunFolder::reopen(dir.path() / "run").read_trials();
  REQUIRE(trials.size() == 2);
  CHECK(trials[1].figures[Metric::throughput_mbps] == 101);
}

TEST_CASE("a torn last line is forgotten and cut off") {
  const test::TempDir dir;
  {
    RunFolder folder = RunFolder::create(dir.path() / "run");
    folder.write("spec.toml", "x");
    folder.write("plan.json", "{}");
    folder.append(trial(0));
  }
  dir.write("run/trials.jsonl", line(0) + line(1).substr(0, 40));
  RunFolder folder = RunFolder::reopen(dir.path() / "run");
  CHECK(folder.read_trials().size() == 1);
  CHECK(read_file(dir.path() / "run/trials.jsonl") == line(0));
  folder.append(trial(2));
  CHECK(folder.read_trials().size() == 2);
  CHECK(read_file(dir.path() / "run/trials.jsonl") == line(0) + line(2));
}

TEST_CASE("any other damage is named with its line") {
  std::size_t whole = 0;
  CHECK_THROWS_WITH(parse_trials(line(0) + "garbage\n" + line(2), "t.jsonl", whole),
                    Catch::StartsWith("t.jsonl:2: damaged: "));
  CHECK_THROWS_WITH(parse_trials("{}\n", "t.jsonl", whole), Catch::StartsWith("t.jsonl:1: damaged: "));
  CHECK(parse_trials("", "t.jsonl", whole).empty());
  const std::string without_newline = line(0).substr(0, line(0).size() - 1);
  CHECK(parse_trials(without_newline, "t.jsonl", whole).empty());
  CHECK(whole == 0);
}

TEST_CASE("a folder is for one run, and one bakeoff at a time") {
  const test::TempDir dir;
  // Killed before it had a plan: what it left is nothing.
  { RunFolder::create(dir.path() / "run").write("spec.toml", "x"); }
  CHECK_FALSE(RunFolder::has_begun(dir.path() / "run"));
  RunFolder folder = RunFolder::create(dir.path() / "run");
  CHECK_THROWS_WITH(RunFolder::create(dir.path() / "run"), Catch::Contains("another bakeoff is at work in"));
  CHECK_THROWS_AS(RunFolder::reopen(dir.path() / "run"), UsageError);
  folder.write("plan.json", "{}");
  CHECK_THROWS_WITH(RunFolder::create(dir.path() / "run"),
                    Catch::Contains("holds a run already; go on with it with --resume"));
  dir.write("run/spec.toml", "x");
  CHECK_THROWS_WITH(RunFolder::reopen(dir.path() / "run"), Catch::Contains("another bakeoff is at work in"));
  CHECK_THROWS_WITH(RunFolder::reopen(dir.path() / "nothing"), Catch::Contains("holds no run"));
  dir.write("file", "x");
  CHECK_THROWS_AS(RunFolder::create(dir.path() / "file"), UsageError);
  dir.write("full/of.things", "x");
  CHECK_THROWS_WITH(RunFolder::create(dir.path() / "full"), Catch::Contains("is no empty folder"));
}

TEST_CASE("what lies outside of a stranger's folder is not written through its links") {
  const test::TempDir dir;
  dir.write("precious", "kept");
  for (const char* name : {"lock", "trials.jsonl", "result.json.new"}) {
    INFO(name);
    dir.write("run/spec.toml", "x");
    dir.write("run/plan.json", "{}");
    std::filesystem::create_symlink(dir.path() / "precious", dir.path() / "run" / name);
    const auto go_on = [&] {
      RunFolder folder = RunFolder::reopen(dir.path() / "run");
      folder.append(trial(0));
      folder.write("result.json", "{}");
    };
    CHECK_THROWS_AS(go_on(), StartError);
    CHECK(read_file(dir.path() / "precious") == "kept");
    std::filesystem::remove_all(dir.path() / "run");
  }
  dir.write("run/spec.toml", "x");
  dir.write("run/plan.json", "{}");
  REQUIRE(::mkfifo((dir.path() / "run/trials.jsonl").c_str(), 0600) == 0);
  CHECK_THROWS_AS(RunFolder::reopen(dir.path() / "run"), UsageError);
}

TEST_CASE("a full disk is one clear line") {
  // /dev/full is a disk without room; where it is missing there is nothing to show this with.
  if (!std::filesystem::exists("/dev/full")) return;
  const test::TempDir dir;
  std::filesystem::create_directory(dir.path() / "run");
  std::filesystem::create_symlink("/dev/full", dir.path() / "run/trials.jsonl");
  RunFolder folder = RunFolder::create(dir.path() / "run");
  CHECK_THROWS_WITH(
      folder.append(trial(0)),
      Catch::Contains("No space left on device; nothing was measured yet: make room, then give the command again"));
  dir.write("run/plan.json", "{}");
  CHECK_THROWS_WITH(
      folder.append(trial(0)),
      Catch::Contains("No space left on device; what was measured is kept: make room, then go on with --resume"));
}
