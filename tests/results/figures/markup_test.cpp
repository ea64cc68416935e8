#include "results/figures/markup.h"

#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("text stays text in markup") {
  CHECK(escaped("a<b>&\"c'") == "a&lt;b&gt;&amp;&quot;c&#39;");
  CHECK(escaped("\x01\x1f") == "\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(escaped("שלום 漢字") == "שלום 漢字");
  CHECK(script_safe("{\"a\":\"</script>&\"}") == "{\"a\":\"\\u003c/script\\u003e\\u0026\"}");
}

TEST_CASE("text is shortened by whole characters") {
  CHECK(shortened("short", 20) == "short");
  CHECK(shortened("漢字漢字漢字", 3.5) == "漢字…");
  CHECK(text_width("漢字") == 2);
  CHECK(text_width("") == 0);
}
