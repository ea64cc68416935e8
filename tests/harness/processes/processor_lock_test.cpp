#include "harness/processes/processor_lock.h"

#include <unistd.h>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

TEST_CASE("a processor has one harness at a time") {
  const test::TempDir dir;
  const auto lock = [&](const std::vector<int>& processors) { return ProcessorLock(processors, dir.path() / "locks"); };
  {
    const ProcessorLock first({0, 1}, dir.path() / "locks");
    CHECK_THROWS_WITH(lock({2, 1}),
                      "another bakeoff (process " + std::to_string(getpid()) +
                          ") measures on processor 1; wait for it, or choose other processors under [resources]");
    CHECK_NOTHROW(lock({2, 3}));  // and 2 was given back when 1 was refused
  }
  CHECK_NOTHROW(lock({1}));
  dir.write("file", "");
  CHECK_THROWS_AS(ProcessorLock({0}, dir.path() / "file"), StartError);
}
