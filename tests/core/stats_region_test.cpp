#include "core/stats_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("what a server's processes count is read from outside while it runs") {
  StatsRegion own("sped");
  own.of_worker(0).requests.add(3);
  own.of_worker(2).requests.add(4);  // worker 1 has not come yet
  const StatsRegion seen = StatsRegion::of_process(::getpid());
  REQUIRE(seen.used().size() == 3);
  CHECK(seen.used()[0].requests.get() == 3);
  CHECK(seen.used()[1].requests.get() == 0);
  own.of_worker(2).requests.add(5);
  CHECK(seen.used()[2].requests.get() == 9);
  const nlohmann::json told = seen.to_json();
  CHECK(told.at("server") == "sped");
  CHECK(told.at("total").at("requests") == 12);
  CHECK(told.at("workers").size() == 3);
}

TEST_CASE("the counts of a process that was killed survive it") {
  StatsRegion own("mp");
  const pid_t child = ::fork();
  if (child == 0) {
    own.of_worker(7).accepts.add(11);
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  CHECK(own.used().size() == 8);
  CHECK(own.to_json().at("workers")[7].at("accepts") == 11);
}

TEST_CASE("a stranger's memory of that name is refused, whatever its size, and ends no reader") {
  for (const off_t bytes : {off_t{0}, off_t{1}, off_t{4096}, off_t{1} << 30}) {
    INFO(bytes);
    const int fd = ::memfd_create("bakeoff-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    REQUIRE(fd >= 0);
    REQUIRE(::ftruncate(fd, bytes) == 0);
    CHECK_THROWS_AS(StatsRegion::of_process(::getpid()), UsageError);
    ::close(fd);
  }
  // The right size, which its owner may yet take away while somebody reads.
  struct stat status {};
  {
    StatsRegion own("sped");
    for (int fd = 3; fd < 1024; ++fd) {
      if (::fstat(fd, &status) == 0 && ::fcntl(fd, F_GET_SEALS) == F_SEAL_SHRINK) break;
    }
  }
  const int fd = ::memfd_create("bakeoff-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(::ftruncate(fd, status.st_size) == 0);
  CHECK_THROWS_AS(StatsRegion::of_process(::getpid()), UsageError);
  ::close(fd);
}

TEST_CASE("who is no server is told so") {
  CHECK_THROWS_AS(StatsRegion::of_process(::getpid()), UsageError);  // none here now
  CHECK_THROWS_AS(StatsRegion::of_process(0x3fffffff), UsageError);
}
