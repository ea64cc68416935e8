// The front door: what it builds, when it does not, what it says, and where it may not write.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/catch.h"
#include "tests/support/child.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

namespace {

namespace fs = std::filesystem;

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A tree with the script, some sources, and tools that do as little as they can: cmake leaves build.ninja, ninja makes
// the programs and says what $tools/steps has, both note that they were called.
class Tree {
 public:
  Tree() {
    for (const char* folder : {"cmake", "core", "architectures", "workloads", "harness", "results"})
      write("source/" + std::string(folder) + "/file", "x");
    write("source/CMakeLists.txt", "x");
    write("source/CMakePresets.json", "x");
    fs::copy_file(BAKEOFF_FRONT_DOOR, source() / "bakeoff");
    tool("cmake", R"(if [[ $1 == --version ]]; then echo cmake version 3.25.1; exit; fi
echo cmake >>"$tools/calls"
mkdir -p build/release
echo "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" >build/release/CMakeCache.txt
touch build/release/build.ninja)");
    tool("ninja", R"(echo ninja >>"$tools/calls"; echo "${@:3}" >"$tools/targets"; mkdir -p "$2/bin"
for program in bakeoff sped; do
  printf '#!/bin/bash\necho "ran %s: $*"\n' $program >"$2/bin/$program"
  chmod +x "$2/bin/$program"
done
cat "$tools/steps")");
    for (const char* name : {"apt-get", "apt-cache"}) tool(name, "exit 0");
    tool("dpkg-query", "printf 'ii '");
    steps("[0/3] Re-checking globbed directories...\n[1/3] Building\n[2/3] Building\n[3/3] Linking\n");
  }

  fs::path source() const { return dir_.path() / "source"; }
  fs::path built() const { return source() / "build/release"; }
  void write(const std::string& name, const std::string& text) const { dir_.write(name, text); }
  void steps(const std::string& text) const { write("tools/steps", text); }

  // What it takes to run it, with the tools in the place of the system's.
  std::vector<std::string> command(const std::vector<std::string>& arguments, const fs::path& tree) const {
    const std::string tools = (dir_.path() / "tools").string();
    std::vector<std::string> argv = {"env", "tools=" + tools, "PATH=" + tools + ":/usr/bin:/bin",
                                     (tree / "bakeoff").string()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return argv;
  }
  test::Finished run(const std::vector<std::string>& arguments = {"list"}) const {
    return test::run(command(arguments, source()));
  }
  // As somebody who has to obey the permissions.
  test::Finished run_unprivileged(const std::vector<std::string>& arguments = {"list"}) const {
    test::Child child(command(arguments, source()), {.obey_permissions = true});
    const int status = child.wait().value_or(-1);
    return {status, child.rest_of_output(), child.errors()};
  }
  // The tools that were called since the last look.
  std::string calls() const {
    const fs::path file = dir_.path() / "tools/calls";
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    fs::remove(file);
    return text.str();
  }
  // What Ninja was asked for when it was called last.
  std::string targets() const {
    std::ostringstream text;
    text << std::ifstream(dir_.path() / "tools/targets").rdbuf();
    return text.str();
  }
  // As an edit long after the build, without waiting for it.
  void edit(const fs::path& file) const {
    fs::last_write_time(file, fs::file_time_type::clock::now() + std::chrono::hours(1));
  }

  void close(bool closed) const {
    for (const fs::path& folder : {built(), built().parent_path(), source()})
      if (fs::exists(folder)) fs::permissions(folder, fs::perms(closed ? 0555 : 0755));
  }

  void tool(const std::string& name, const std::string& body) const {
    write("tools/" + name, "#!/bin/bash\n" + body + "\n");
    fs::permissions(dir_.path() / "tools" / name, fs::perms(0755));
  }

 private:
  test::TempDir dir_;
};

}  // namespace

TEST_CASE("the first call builds and says so, the next one does nothing but run") {
  const Tree tree;
  const test::Finished first = tree.run({"list", "a b"});
  INFO(first.errors);
  CHECK(first.status == 0);
  CHECK(first.output == "ran bakeoff: list a b\n");
  CHECK(first.errors == "bakeoff: configuring release\nbakeoff: building release (3 steps)\n");
  CHECK(tree.calls() == "cmake\nninja\n");
  const test::Finished second = tree.run();
  CHECK(second.output == "ran bakeoff: list\n");
  CHECK(second.errors.empty());
  CHECK(tree.calls().empty());
}

TEST_CASE("whatever may change the programs is looked at by Ninja, silently where nothing is to be done") {
  const Tree tree;
  REQUIRE(tree.run().status == 0);
  tree.steps("[0/2] Re-checking globbed directories...\nninja: no work to do.\n");
  tree.calls();
  const auto is_looked_at = [&] {
    const test::Finished run = tree.run();
    CHECK(run.status == 0);
    CHECK(run.errors.empty());
    return contains(tree.calls(), "ninja");
  };
  CHECK_FALSE(is_looked_at());
  for (const char* file :
       {"core/file", "architectures/file", "harness", "cmake/file", "CMakeLists.txt", "CMakePresets.json", "bakeoff"}) {
    INFO(file);
    tree.edit(tree.source() / file);
    CHECK(is_looked_at());
    fs::last_write_time(tree.source() / file, fs::file_time_type::clock::now() - std::chrono::hours(1));
    CHECK_FALSE(is_looked_at());
  }
  fs::remove(tree.built() / "bin/sped");
  CHECK(is_looked_at());
  CHECK_FALSE(is_looked_at());
}

TEST_CASE("a command has built what it needs, and no more") {
  const Tree tree;
  REQUIRE(tree.run({"run", "quick"}).status == 0);
  CHECK(contains(tree.targets(), "architectures/all"));
  CHECK(contains(tree.targets(), "bakeoff-load"));
  CHECK_FALSE(contains(tree.targets(), "micro"));
  tree.calls();
  REQUIRE(tree.run({"micro", "x"}).status == 0);
  CHECK(tree.calls() == "ninja\n");
  CHECK(tree.targets() == "bakeoff bakeoff-micro\n");
  REQUIRE(tree.run({"micro", "x"}).status == 0);
  CHECK(tree.calls().empty());
}

TEST_CASE("a tree that was copied with its build is built anew") {
  const Tree tree;
  REQUIRE(tree.run().status == 0);
  tree.calls();
  const fs::path copy = tree.source().parent_path() / "copy";
  REQUIRE(test::run({"cp", "-a", tree.source().string(), copy.string()}).status == 0);
  const test::Finished run = test::run(tree.command({"list"}, copy));
  CHECK(run.status == 0);
  CHECK(tree.calls() == "cmake\nninja\n");
  // Through a link it is the tree that the link leads to.
  fs::create_symlink(copy / "bakeoff", tree.source().parent_path() / "bakeoff");
  CHECK(test::run(tree.command({"list"}, tree.source().parent_path())).output == "ran bakeoff: list\n");
  CHECK(tree.calls().empty());
}

TEST_CASE("a tree that cannot be written runs what is built, or says one sentence") {
  const Tree tree;
  tree.close(true);
  const test::Finished nothing = tree.run_unprivileged();
  CHECK(nothing.status == 4);
  CHECK(nothing.output.empty());
  CHECK(nothing.errors == "bakeoff: " + tree.built().string() +
                              " cannot be written; copy the source to a place of your own, and build it there\n");
  tree.close(false);

  REQUIRE(tree.run().status == 0);
  tree.close(true);
  const test::Finished current = tree.run_unprivileged();
  CHECK(current.status == 0);
  CHECK(current.output == "ran bakeoff: list\n");
  CHECK(current.errors.empty());

  tree.edit(tree.source() / "core/file");
  const test::Finished old = tree.run_unprivileged();
  CHECK(old.status == 0);
  CHECK(old.output == "ran bakeoff: list\n");
  CHECK(old.errors == "bakeoff: " + tree.built().string() +
                          " cannot be written; this runs what was built there, which may be older than the source\n");

  const test::Finished tests = tree.run_unprivileged({"test"});
  CHECK(tests.status == 4);
  CHECK(std::count(tests.errors.begin(), tests.errors.end(), '\n') == 1);
  CHECK(contains(tests.errors, "cannot be written; copy the source"));
  tree.close(false);
}

TEST_CASE("a terminal that takes no escape sequences gets lines") {
  if (!test::is_installed("script")) {
    WARN("script is not installed: the case is skipped");
    return;
  }
  for (const auto& [terminal, escapes] : {std::pair{"xterm", true}, {"dumb", false}, {"", false}}) {
    INFO(terminal);
    const Tree tree;
    std::string line;
    for (const std::string& word : tree.command({"list"}, tree.source())) line += word + " ";
    const test::Finished run = test::run({"env", std::string("TERM=") + terminal, "script", "-qec", line, "/dev/null"});
    CHECK(contains(run.output, "\033") == escapes);
    CHECK(contains(run.output, "building release"));
    CHECK(contains(run.output, "ran bakeoff: list"));
  }
}

TEST_CASE("chosen tests have built what they run, and nothing else") {
  const Tree tree;
  tree.write("source/build/.test-tools", "");
  // Before the server is there, all that is known is that it has to describe itself.
  tree.tool("ctest", R"(if [[ $* != *--show-only=json-v1* ]]; then echo "ctest $*"; exit; fi
grep -qw sped "$tools/targets" && echo "{ \"command\" : [ \"$PWD/build/release/bin/conformance\" ],"
echo "\"value\" : [ \"BAKEOFF_TEST_SERVER=$PWD/build/release/bin/sped\" ] }")");
  const test::Finished run = tree.run({"test", "-R", "conformance.sped"});
  INFO(run.errors);
  CHECK(run.status == 0);
  CHECK(contains(run.output, "-R conformance.sped"));
  CHECK(tree.targets() == "conformance sped\n");
  // The command itself is not said to be built.
  CHECK_FALSE(fs::exists(tree.built() / ".built-run"));
  CHECK(tree.run({"test"}).status == 0);
  CHECK(contains(tree.targets(), " all\n"));
  CHECK(fs::exists(tree.built() / ".built-run"));
  // A test of the command needs its servers.
  tree.tool(
      "ctest",
      R"([[ $* == *--show-only=json-v1* ]] && echo "\"command\" : [ \"$PWD/build/release/bin/bakeoff\" ]"; exit 0)");
  CHECK(tree.run({"test", "-R", "kill"}).status == 0);
  CHECK(contains(tree.targets(), "architectures/all bakeoff bakeoff-load bakeoff-ceiling"));
  CHECK_FALSE(contains(tree.targets(), " all\n"));
}
