#include "workloads/file_set.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>
#include <set>

#include "core/base/errors.h"
#include "core/base/random.h"
#include "tests/catch.h"
#include "tests/workloads/temp_dir.h"

using namespace bakeoff;
namespace fs = std::filesystem;

namespace {

FileSet small_set() {
  FileSet set("small");
  set.add("/a/one.html", 1);
  set.add("/a/empty", 0);
  set.add("/b/large.jpg", 300'000);
  set.add("/top", 4097);
  return set;
}

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string bytes_of(const WorkloadFile& file) {
  std::string bytes(file.size_bytes, '\0');
  content(file.content_seed, 0, bytes);
  return bytes;
}

}  // namespace

TEST_CASE("a set may have any name") {
  const TempDir dir;
  FileSet set("\xff\xfe");
  set.add("/a", 10);
  CHECK_FALSE(materialise(set, dir.path()).reused);
  CHECK(materialise(set, dir.path()).reused);
}

TEST_CASE("any part of a file equals the same part of the whole") {
  const std::uint64_t seed = content_seed("/dir00000/class0_0");
  std::string whole(1000, '\0');
  content(seed, 0, whole);
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t begin = random.below(1000);
    std::string part(random.below(static_cast<std::uint32_t>(1001 - begin)), '\0');
    content(seed, begin, part);
    REQUIRE(part == whole.substr(begin, part.size()));
    REQUIRE(content_matches(seed, begin, part));
  }
  std::string far(16, '\0');
  content(seed, (std::uint64_t{1} << 40) + 3, far);
  CHECK(content_matches(seed, (std::uint64_t{1} << 40) + 3, far));
}

TEST_CASE("one wrong byte anywhere is seen") {
  const std::uint64_t seed = content_seed("/x");
  std::string bytes(77, '\0');
  for (const std::uint64_t offset : {0u, 1u, 7u, 8u, 4093u}) {
    content(seed, offset, bytes);
    for (char& byte : bytes) {
      byte = static_cast<char>(byte ^ 0x10);
      CHECK_FALSE(content_matches(seed, offset, bytes));
      byte = static_cast<char>(byte ^ 0x10);
    }
    CHECK_FALSE(content_matches(seed, offset + 1, bytes));
    CHECK_FALSE(content_matches(content_seed("/y"), offset, bytes));
  }
}

TEST_CASE("content looks like noise and never changes between builds") {
  std::string bytes(1 << 20, '\0');
  content(content_seed("/dir00000/class0_0"), 0, bytes);
  std::array<int, 256> counts{};
  for (const char byte : bytes) ++counts[static_cast<unsigned char>(byte)];
  double chi_square = 0;
  const double expected = static_cast<double>(bytes.size()) / 256;
  for (const int count : counts) chi_square += (count - expected) * (count - expected) / expected;
  CHECK(chi_square < 350);  // 255 degrees of freedom: mean 255, one in 20,000 above 350
  // Recorded once; a change makes every set on disk and every recorded run wrong, and has to change FileSet::hash too.
  CHECK(small_set().hash() == "badca389c9503d50");
}

TEST_CASE("a set is found by path and its hash is its definition") {
  const FileSet set = small_set();
  CHECK(set.find("/b/large.jpg") == 2u);
  CHECK_FALSE(set.find("/b"));
  CHECK(set.total_bytes() == 304'098);
  FileSet other("small");
  other.add("/a/one.html", 2);
  CHECK(other.hash() != set.hash());
  CHECK(small_set().hash() == set.hash());
}

TEST_CASE("a set is made once, reused, and mended where it was damaged") {
  const TempDir dir;
  const FileSet set = small_set();
  const MaterialisedSet made = materialise(set, dir.path() / "deep" / "er");
  CHECK_FALSE(made.reused);
  CHECK(made.root == dir.path() / "deep" / "er" / ("small-" + set.hash()) / "files");
  for (const WorkloadFile& file : set.files()) CHECK(slurp(made.root.string() + file.path) == bytes_of(file));

  const auto written = fs::last_write_time(made.root / "top");
  std::uint64_t last_done = 0;
  const MaterialiseOptions check{true, [&](std::uint64_t done, std::uint64_t) { last_done = done; }};
  const MaterialisedSet again = materialise(set, dir.path() / "deep" / "er", check);
  CHECK(again.reused);
  CHECK(again.repaired == 0);
  CHECK(again.root == made.root);
  CHECK(fs::last_write_time(made.root / "top") == written);
  CHECK(last_done == set.total_bytes());

  fs::resize_file(made.root / "top", 4096);
  fs::remove(made.root / "a" / "empty");
  fs::remove_all(made.root / "b");
  fs::create_symlink("/etc/passwd", made.root / "b");
  fs::remove(made.root / "b");
  const MaterialisedSet mended = materialise(set, dir.path() / "deep" / "er");
  CHECK(mended.reused);
  CHECK(mended.repaired == 3);
  for (const WorkloadFile& file : set.files()) CHECK(slurp(made.root.string() + file.path) == bytes_of(file));
}

TEST_CASE("a link in the place of a file is replaced, not followed") {
  const TempDir dir;
  const FileSet set = small_set();
  const MaterialisedSet made = materialise(set, dir.path());
  std::ofstream(dir.path() / "elsewhere") << "untouched";
  fs::remove(made.root / "top");
  fs::create_symlink(dir.path() / "elsewhere", made.root / "top");
  CHECK(materialise(set, dir.path()).repaired == 1);
  CHECK(fs::is_regular_file(fs::symlink_status(made.root / "top")));
  CHECK(slurp(dir.path() / "elsewhere") == "untouched");
}

TEST_CASE("a changed byte is found by the full check only") {
  const TempDir dir;
  const FileSet set = small_set();
  const MaterialisedSet made = materialise(set, dir.path());
  std::fstream(made.root / "b" / "large.jpg", std::ios::in | std::ios::out | std::ios::binary)
      .seekp(123'456)
      .put('!')
      .put('!');
  CHECK(materialise(set, dir.path()).repaired == 0);
  CHECK(materialise(set, dir.path(), {true, {}}).repaired == 1);
  CHECK(slurp(made.root / "b" / "large.jpg") == bytes_of(set[2]));
}

TEST_CASE("a set that was never finished is made anew") {
  const TempDir dir;
  const FileSet set = small_set();
  const fs::path root = materialise(set, dir.path()).root;
  fs::remove(root.parent_path() / "manifest.json");
  std::ofstream(root / "left-over") << "x";
  CHECK_FALSE(materialise(set, dir.path()).reused);
  CHECK_FALSE(fs::exists(root / "left-over"));

  std::ofstream(root.parent_path() / "manifest.json") << "{\"hash\": \"c4a1";
  CHECK_FALSE(materialise(set, dir.path()).reused);
}

TEST_CASE("two processes that want the same set make it once") {
  const TempDir dir;
  FileSet set("shared");
  for (int i = 0; i < 300; ++i) set.add("/f" + std::to_string(i), 20'000);
  std::array<pid_t, 4> children{};
  for (pid_t& child : children) {
    child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        ::_exit(materialise(set, dir.path()).reused ? 1 : 0);
      } catch (...) {
        ::_exit(2);
      }
    }
  }
  std::multiset<int> statuses;
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    statuses.insert(WEXITSTATUS(status));
  }
  CHECK(statuses == std::multiset<int>{0, 1, 1, 1});
  CHECK(materialise(set, dir.path(), {true, {}}).repaired == 0);
}

TEST_CASE("a set that cannot be made says why and what to do, and leaves nothing behind") {
  const TempDir dir;
  FileSet huge("huge");
  huge.add("/a", std::uint64_t{1} << 60);
  CHECK_THROWS_AS(materialise(huge, dir.path()), StartError);
  CHECK_THROWS_WITH(
      materialise(huge, dir.path()),
      Catch::Matchers::Contains("the file set huge needs 1152921504.6 GB, and " + dir.path().string() + " has") &&
          Catch::Matchers::Contains("choose another directory or a smaller set"));
  CHECK_FALSE(fs::exists(dir.path() / ("huge-" + huge.hash()) / "files"));

  std::ofstream(dir.path() / "file") << "x";
  CHECK_THROWS_WITH(materialise(small_set(), dir.path() / "file"),
                    Catch::Matchers::Contains("Not a directory; choose another directory"));
}

TEST_CASE("a set whose writing fails midway is removed") {
  const TempDir dir;
  const FileSet set = small_set();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // A limit on the size of files fails a write as a full disk does, and needs no disk to be filled.
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      materialise(set, dir.path());
    } catch (const StartError& error) {
      ::_exit(std::strstr(error.what(), "/b/large.jpg: File too large; choose another directory") != nullptr ? 7 : 8);
    }
    ::_exit(9);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 7);
  CHECK_FALSE(fs::exists(dir.path() / ("small-" + set.hash()) / "files"));
  CHECK_FALSE(materialise(set, dir.path()).reused);
}
