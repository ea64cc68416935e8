#include "harness/load/url.h"

#include "core/base/errors.h"
#include "harness/load/duration.h"
#include "tests/catch.h"
#include "tests/harness/load/scripted_server.h"

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
  for (const char* text : {"", "127.0.0.1", "https://h/", "http://", "http:///x", "http://h:0/", "http://h:99999/",
                           "http://h:8x/", "http://u@h/", "http://[::1/"})
    REQUIRE_THROWS_AS(parse_url(text), UsageError);
}

TEST_CASE("of a host's addresses the first that accepts is used") {
  const ScriptedServer server([](Conversation& talk) { talk.wait_for_end(); });
  const std::string port = server.url().substr(server.url().rfind(':') + 1);
  const auto address = [&](const std::string& host) {
    return resolve(parse_url("http://" + host + ":" + port)).front();
  };
  const std::atomic<bool> stop{false};
  const Url url = parse_url("http://somewhere:" + port);
  const SocketAddress good = address("127.0.0.1"), closed = address("127.0.0.9"), other = address("[::1]");
  const auto choose = [&](const std::vector<SocketAddress>& addresses) {
    return first_that_accepts(addresses, url, 1'000'000'000, stop).text();
  };
  REQUIRE(choose({good, closed}) == good.text());
  REQUIRE(choose({closed, other, good}) == good.text());
  REQUIRE(choose({closed}) == closed.text());
  try {
    choose({closed, other});
    FAIL("it is said to accept");
  } catch (const StartError& error) {
    const std::string said = error.what();
    INFO(said);
    for (const char* part : {"no connection to somewhere:", "127.0.0.9:", "[::1]:", "is the server running there?"})
      CHECK(said.find(part) != std::string::npos);
  }
}

TEST_CASE("durations have units") {
  REQUIRE(parse_duration_ns("--d", "10s") == 10'000'000'000);
  REQUIRE(parse_duration_ns("--d", "1.5") == 1'500'000'000);
  REQUIRE(parse_duration_ns("--d", "250ms") == 250'000'000);
  REQUIRE(parse_duration_ns("--d", "80us") == 80'000);
  REQUIRE(parse_duration_ns("--d", "80ns") == 80);
  REQUIRE(parse_duration_ns("--d", "5min") == 300'000'000'000);
  REQUIRE(parse_duration_ns("--d", "2 M") == 120'000'000'000);
  REQUIRE(parse_duration_ns("--d", "1.5h") == 5'400'000'000'000);
  for (const char* text : {"", "s", "-1s", "1h2", "nan", "inf", "1e99", "15000min", "5s s"})
    REQUIRE_THROWS_AS(parse_duration_ns("--d", text), UsageError);
}

TEST_CASE("sizes have units") {
  constexpr std::int64_t most = 1 << 30;
  REQUIRE(parse_size("--s", "65536", most) == 65536);
  REQUIRE(parse_size("--s", "64KB", most) == 64'000);
  REQUIRE(parse_size("--s", "64KiB", most) == 65'536);
  REQUIRE(parse_size("--s", "64k", most) == 65'536);
  REQUIRE(parse_size("--s", "1.5 MB", most) == 1'500'000);
  for (const char* text : {"", "KB", "-1", "1.5", "2GB", "1TB", "1e3", "nan"})
    REQUIRE_THROWS_AS(parse_size("--s", text, most), UsageError);
}
