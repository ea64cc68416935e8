#include "harness/run/progress.h"

#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("a line and its table are redrawn, and the cursor is back at the line") {
  CHECK(redrawn("[#.] 1/2", {}, 79) == "\r\x1b[J[#.] 1/2\r");
  CHECK(redrawn("[#.] 1/2", {"best", "sped 1"}, 79) == "\r\x1b[J[#.] 1/2\r\nbest\r\nsped 1\x1b[2A\r");
  // A longer line would wrap, and the way back up would be wrong. No character is cut in two.
  CHECK(redrawn("12345", {"\u00e4\u00f6\u00fc\u00df"}, 3) == "\r\x1b[J123\r\n\u00e4\u00f6\u00fc\x1b[1A\r");
}

TEST_CASE("times in words") {
  CHECK(duration_words(-1) == "0 s");
  CHECK(duration_words(45.4) == "45 s");
  CHECK(duration_words(125) == "2 min 5 s");
  CHECK(duration_words(11400) == "3 h 10 min");
}
