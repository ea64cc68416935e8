#include "core/files/document_root.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
using bakeoff::test::TempDir;
namespace fs = std::filesystem;

namespace {

int status_of(const DocumentRoot& root, std::string_view name) {
  const DocumentRoot::File file = root.open(name);
  if (file.status == 200) {
    REQUIRE(file.fd >= 0);
    ::close(file.fd);
  } else {
    REQUIRE(file.fd == -1);
  }
  return file.status;
}

}  // namespace

TEST_CASE("a regular file is opened and described") {
  const TempDir directory;
  directory.write("dir/a", "hello");
  const DocumentRoot root(directory.path().string());
  const DocumentRoot::File file = root.open("/dir/a");
  REQUIRE(file.status == 200);
  struct stat attributes {};
  REQUIRE(::stat((directory.path() / "dir/a").c_str(), &attributes) == 0);
  CHECK(file.size_bytes == 5);
  CHECK(file.inode == attributes.st_ino);
  CHECK(file.device == attributes.st_dev);
  CHECK(file.mtime_ns == attributes.st_mtim.tv_sec * std::int64_t{1'000'000'000} + attributes.st_mtim.tv_nsec);
  ::close(file.fd);
}

TEST_CASE("dates that nanoseconds cannot hold are the last, or the first, that they can") {
  const TempDir directory;
  directory.write("a", "hello");
  const DocumentRoot root(directory.path().string());
  for (const std::int64_t seconds : {9'223'372'037LL, 10'413'792'000LL, -9'223'372'037LL, -10'413'792'000LL}) {
    const timespec times[2] = {{0, 0}, {seconds, 999'999'999}};
    REQUIRE(::utimensat(AT_FDCWD, (directory.path() / "a").c_str(), times, 0) == 0);
    struct stat attributes {};
    REQUIRE(::stat((directory.path() / "a").c_str(), &attributes) == 0);
    if (attributes.st_mtim.tv_sec != seconds) continue;  // a file system that cannot hold it either
    const DocumentRoot::File file = root.open("/a");
    REQUIRE(file.status == 200);
    ::close(file.fd);
    CHECK(file.mtime_ns ==
          (seconds > 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min()));
  }
}

TEST_CASE("nothing outside the root is served, however it is named") {
  const TempDir outside;
  outside.write("secret", "x");
  outside.write("root/a", "x");
  const fs::path inside = outside.path() / "root";
  fs::create_symlink("../secret", inside / "up");
  fs::create_symlink(outside.path() / "secret", inside / "absolute");
  fs::create_symlink(inside / "a", inside / "absolute-within");
  fs::create_symlink(outside.path(), inside / "folder");
  fs::create_symlink("/proc/self/root", inside / "magic");
  fs::create_symlink("a", inside / "within");
  fs::create_symlink("loop", inside / "loop");
  const DocumentRoot root(inside.string());
  CHECK(status_of(root, "/a") == 200);
  CHECK(status_of(root, "/within") == 200);
  for (const char* name :
       {"/up", "/absolute", "/absolute-within", "/folder/secret", "/../secret", "/magic/etc/passwd", "/loop"}) {
    CAPTURE(name);
    CHECK(status_of(root, name) == 403);
  }
}

TEST_CASE("what is no regular file has a status of its own, and opening it never waits") {
  const TempDir directory;
  directory.write("dir/a", "x");
  REQUIRE(::mkfifo((directory.path() / "fifo").c_str(), 0600) == 0);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (directory.path() / "socket").string();
  REQUIRE(path.size() < sizeof address.sun_path);
  std::copy(path.begin(), path.end(), address.sun_path);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(fd);
  const DocumentRoot root(directory.path().string());
  CHECK(status_of(root, "/dir") == 301);
  CHECK(status_of(root, "/fifo") == 403);
  CHECK(status_of(root, "/socket") == 404);
  CHECK(status_of(root, "/missing") == 404);
  CHECK(status_of(root, "/dir/a/b") == 404);
  CHECK(status_of(root, "/dir/" + std::string(300, 'a')) == 404);
  CHECK(status_of(root, "/" + std::string(5000, 'a')) == 404);
}

TEST_CASE("a root that is no directory is refused with what to do") {
  const TempDir directory;
  directory.write("file", "x");
  for (const std::string& path : {(directory.path() / "missing").string(), (directory.path() / "file").string()}) {
    std::string said;
    try {
      const DocumentRoot root(path);
    } catch (const UsageError& error) {
      said = error.what();
    }
    CHECK(said.find(path) != std::string::npos);
    CHECK(said.find("give --root a readable directory") != std::string::npos);
  }
}
