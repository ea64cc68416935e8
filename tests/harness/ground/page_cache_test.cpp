#include "harness/ground/page_cache.h"

#include "harness/processes/reactor.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

TEST_CASE("every file below a directory is read, or forgotten") {
  const test::TempDir dir;
  dir.write("a/b/one", std::string(300'000, 'x'));
  dir.write("two", "12345");
  Reactor reactor;
  CHECK(bring_page_cache(reactor, dir.path(), PageCache::warm) == 300'005);
  CHECK(bring_page_cache(reactor, dir.path(), PageCache::cold) == 300'005);
  CHECK(bring_page_cache(reactor, dir.path(), PageCache::as_is) == 0);
}
