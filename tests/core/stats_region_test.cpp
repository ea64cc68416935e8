#include "core/stats_region.h"

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

TEST_CASE("who is no server is told so") {
  CHECK_THROWS_AS(StatsRegion::of_process(::getpid()), UsageError);  // none here now
  CHECK_THROWS_AS(StatsRegion::of_process(0x3fffffff), UsageError);
}
