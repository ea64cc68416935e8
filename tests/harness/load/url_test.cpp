#include "harness/load/url.h"

#include "core/base/errors.h"
#include "harness/load/duration.h"
#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("a URL falls into host, port, authority and path") {
  Url url = parse_url("http://127.0.0.1:8080/a/b?c=d#e");
  REQUIRE(url.host == "127.0.0.1");
  REQUIRE(url.port == 8080);
  REQUIRE(url.authority == "127.0.0.1:8080");
  REQUIRE(url.path == "/a/b?c=d");
  url = parse_url("http://[::1]");
  REQUIRE(url.host == "::1");
  REQUIRE(url.port == 80);
  REQUIRE(url.path == "/");
  REQUIRE(parse_url("http://h?x y").path == "/?x%20y");
}

TEST_CASE("a URL that is none is refused") {
  for (const char* text : {"", "127.0.0.1", "https://h/", "http://", "http:///x", "http://h:0/", "http://h:99999/", "http://h:8x/", "http://u@h/", "http://[::1/"})
    REQUIRE_THROWS_AS(parse_url(text), UsageError);
}

TEST_CASE("durations have units") {
  REQUIRE(parse_duration_ns("--d", "10s") == 10'000'000'000);
  REQUIRE(parse_duration_ns("--d", "1.5") == 1'500'000'000);
  REQUIRE(parse_duration_ns("--d", "250ms") == 250'000'000);
  REQUIRE(parse_duration_ns("--d", "80us") == 80'000);
  for (const char* text : {"", "s", "-1s", "1h2", "nan", "inf", "1e99"}) REQUIRE_THROWS_AS(parse_duration_ns("--d", text), UsageError);
}
