#include "core/http/response_head.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "tests/catch.h"

namespace bakeoff {
namespace {

constexpr std::int64_t example_s = 784111777;  // the date of RFC 9110, 5.6.7
constexpr std::string_view example = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr std::int64_t ns_per_s = 1'000'000'000;

// Splits a head into its status line and its fields; fails the test on anything that is not lines ended by CRLF.
struct Head {
  std::string status_line;
  std::map<std::string, std::string> fields;
};

Head read_head(std::string_view text) {
  Head head;
  while (!text.empty()) {
    const std::size_t end = text.find("\r\n");
    REQUIRE(end != std::string_view::npos);
    const std::string line(text.substr(0, end));
    REQUIRE(line.find_first_of("\r\n") == std::string::npos);
    text.remove_prefix(end + 2);
    if (head.status_line.empty()) {
      REQUIRE_FALSE(line.empty());
      head.status_line = line;
      continue;
    }
    const std::size_t colon = line.find(": ");
    REQUIRE(colon != std::string::npos);
    REQUIRE(head.fields.emplace(line.substr(0, colon), line.substr(colon + 2)).second);
  }
  return head;
}

}  // namespace

namespace {

// Whether the conditions leave a 304. Empty: absent.
bool not_modified(std::string_view if_none_match, std::string_view if_modified_since, std::string_view tag,
                  std::int64_t mtime_s) {
  Request request;
  if (!if_none_match.empty()) request.if_none_match = if_none_match;
  request.if_modified_since = if_modified_since;
  const int status = status_by_conditions(request, tag, mtime_s);
  CHECK((status == 304 || status == 200));
  return status == 304;
}

}  // namespace

TEST_CASE("dates are written in the fixed form", "[response_head]") {
  CHECK(http_date(example_s) == example);
  CHECK(http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
  CHECK(http_date(-1) == "Wed, 31 Dec 1969 23:59:59 GMT");
  CHECK(http_date(951782399) == "Mon, 28 Feb 2000 23:59:59 GMT");
  CHECK(http_date(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT");
  CHECK(http_date(4107542400) == "Mon, 01 Mar 2100 00:00:00 GMT");
  CHECK(http_date(253402300799) == "Fri, 31 Dec 9999 23:59:59 GMT");
  // What the form has no room for becomes the nearest that it can say.
  CHECK(http_date(253402300800) == "Fri, 31 Dec 9999 23:59:59 GMT");
  CHECK(http_date(std::numeric_limits<std::int64_t>::max()) == "Fri, 31 Dec 9999 23:59:59 GMT");
  CHECK(http_date(std::numeric_limits<std::int64_t>::min()) == "Sat, 01 Jan 0000 00:00:00 GMT");
}

TEST_CASE("dates agree with the C library and are read back", "[response_head]") {
  for (std::int64_t unix_s = 0; unix_s < 7'000'000'000; unix_s += 86400 * 11 + 3671) {
    const std::time_t time = unix_s;
    std::tm parts{};
    REQUIRE(gmtime_r(&time, &parts) != nullptr);
    std::array<char, 64> text{};
    std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    REQUIRE(http_date(unix_s) == text.data());
    REQUIRE(parse_http_date(text.data()) == unix_s);
    std::strftime(text.data(), text.size(), "%a %b %e %H:%M:%S %Y", &parts);
    REQUIRE(parse_http_date(text.data()) == unix_s);
  }
}

TEST_CASE("all three forms of a date are read", "[response_head]") {
  CHECK(parse_http_date(example) == example_s);
  CHECK(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT") == example_s);
  CHECK(parse_http_date("Sun Nov  6 08:49:37 1994") == example_s);
  CHECK(parse_http_date("Wed Nov 16 08:49:37 1994") == example_s + 10 * 86400);
  CHECK(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT") == 0);
  CHECK(parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == 1483228800);  // a leap second
  CHECK(parse_http_date("Fri, 31 Dec 9999 23:59:59 GMT") == 253402300799);
}

TEST_CASE("a year of two digits is at most 50 years ahead", "[response_head]") {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  REQUIRE(gmtime_r(&now, &parts) != nullptr);
  const int this_year = 1900 + parts.tm_year;
  for (int ahead = -49; ahead <= 50; ++ahead) {
    const int year = this_year + ahead;
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "Monday, 01-Jul-%02d 00:00:00 GMT", year % 100);
    const std::int64_t parsed_s = parse_http_date(text.data());
    INFO(text.data());
    CHECK(http_date(parsed_s).substr(12, 4) == std::to_string(year));
  }
}

TEST_CASE("what is no date is not read as one", "[response_head]") {
  for (const char* text :
       {"", " ", "0", "Sun", "Sun,", "Sun, ", "784111777",
        // Something before, behind or between.
        " Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06  Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT",
        // Other zones and other cases.
        "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000", "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 gmt", "Xun, 06 Nov 1994 08:49:37 GMT",
        // Times that do not exist.
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT", "Wed, 29 Feb 1995 08:49:37 GMT",
        "Thu, 29 Feb 1900 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994 -8:49:37 GMT", "Sun, +6 Nov 1994 08:49:37 GMT",
        // Before 1970.
        "Wed, 31 Dec 1969 23:59:59 GMT", "Wed, 31 Dec 1969 00:00:00 GMT", "Mon, 01 Jan 0000 00:00:00 GMT",
        // The other forms.
        "Sun, 06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT", "Sunday, 6-Nov-94 08:49:37 GMT",
        "Sunday 06-Nov-94 08:49:37 GMT", "Someday, 06-Nov-94 08:49:37 GMT", "Sun Nov 6 08:49:37 1994",
        "Sun Nov  06 08:49:37 1994", "Sun Nov  6 08:49:37 94", "Sun Nov  6 08:49:37 1994 GMT",
        "Sunday Nov  6 08:49:37 1994"}) {
    INFO(text);
    CHECK(parse_http_date(text) == -1);
  }
}

TEST_CASE("the type goes by the ending of the name", "[response_head]") {
  CHECK(mime_type("/index.html") == "text/html");
  CHECK(mime_type("/A.HTML") == "text/html");
  CHECK(mime_type("/a.htm") == "text/html");
  CHECK(mime_type("/a.tar.gz") == "application/gzip");
  CHECK(mime_type("/a.b/c.png") == "image/png");
  CHECK(mime_type("a.css") == "text/css");
  CHECK(mime_type("/.js") == "text/javascript");
  for (const char* unknown :
       {"", "/", "/dir00000/class0_0", "/a.html/b", "/a.", "/html", "/a.unheard-of", "/a.htmlx"}) {
    INFO(unknown);
    CHECK(mime_type(unknown) == "application/octet-stream");
  }
}

TEST_CASE("an entity tag changes with size and time", "[response_head]") {
  const std::string tag = entity_tag(1000, example_s * ns_per_s);
  CHECK(tag == entity_tag(1000, example_s * ns_per_s));
  CHECK(tag != entity_tag(1001, example_s * ns_per_s));
  CHECK(tag != entity_tag(1000, example_s * ns_per_s + 1));
  for (const std::string& each :
       {tag, entity_tag(0, 0), entity_tag(UINT64_MAX, INT64_MAX), entity_tag(UINT64_MAX, -1)}) {
    INFO(each);
    REQUIRE(each.size() > 2);
    CHECK(each.front() == '"');
    CHECK(each.back() == '"');
    CHECK(each.substr(1, each.size() - 2).find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz-") ==
          std::string::npos);
  }
  CHECK(entity_tag(35, 36) == "\"10-z\"");
}

TEST_CASE("the head of a file", "[response_head]") {
  const std::int64_t mtime_ns = example_s * ns_per_s + 5;
  const Head head = read_head(file_head("/a.html", 14727, mtime_ns));
  CHECK(head.status_line == "HTTP/1.1 200 OK");
  const std::map<std::string, std::string> expected = {{"Server", "bakeoff"},
                                                       {"Content-Type", "text/html"},
                                                       {"Content-Length", "14727"},
                                                       {"Last-Modified", std::string(example)},
                                                       {"ETag", entity_tag(14727, mtime_ns)}};
  CHECK(head.fields == expected);
  CHECK(read_head(file_head("/a", 0, 0)).fields.at("Content-Length") == "0");
  // A time before 1970 is rounded down too.
  CHECK(read_head(file_head("/a", 0, -1)).fields.at("Last-Modified") == "Wed, 31 Dec 1969 23:59:59 GMT");
}

TEST_CASE("a head is about as long as those of the papers", "[response_head]") {
  HeadEnd end;
  const std::size_t bytes = file_head("/dir00000/class2_3", 40960, 1'700'000'000'123'456'789).size() +
                            end.get(HeadEnd::Connection::implied, 1'700'000'000).size();
  CHECK(bytes > 170);
  CHECK(bytes < 220);
}

TEST_CASE("Last-Modified is never later than Date", "[response_head]") {
  const std::int64_t before_s = std::time(nullptr);
  const Head head = read_head(file_head("/a", 1, (before_s + 86400) * ns_per_s));
  const std::int64_t after_s = std::time(nullptr);
  const std::int64_t last_modified_s = parse_http_date(head.fields.at("Last-Modified"));
  CHECK(last_modified_s >= before_s);
  CHECK(last_modified_s <= after_s);
}

TEST_CASE("the head of a 304 carries the tag and says nothing of a body", "[response_head]") {
  const Head head = read_head(not_modified_head(14727, example_s * ns_per_s));
  CHECK(head.status_line == "HTTP/1.1 304 Not Modified");
  const std::map<std::string, std::string> expected = {{"Server", "bakeoff"},
                                                       {"ETag", entity_tag(14727, example_s * ns_per_s)}};
  CHECK(head.fields == expected);
}

TEST_CASE("If-None-Match", "[response_head]") {
  const std::string_view tag = "\"a-1\"";
  for (const char* match : {"\"a-1\"", "W/\"a-1\"", "*", "\"b\", \"a-1\"", "\"b\",\"a-1\",\"c\"", "\"b\" , W/\"a-1\"",
                            ", ,\"a-1\"", "\"a-1\",", "\"x, y\", \"a-1\"", "\"\", \"a-1\"", "\"b\"\t,\t\"a-1\""}) {
    INFO(match);
    CHECK(not_modified(match, "", tag, example_s));
  }
  for (const char* other :
       {"\"a\"", "\"b\"", "a-1", "\"a-1", "a-1\"", "w/\"a-1\"", "W/ \"a-1\"", "\"b\" \"a-1\"", "\"b\"\"a-1\"",
        "*, \"b\"", "**", ",", " ", "\"A-1\"", "\"x, \"a-1\"", "junk, \"a-1\"", "W/", "\"", "W/\""}) {
    INFO(other);
    CHECK_FALSE(not_modified(other, "", tag, example_s));
    // It decides alone, whatever If-Modified-Since says (RFC 9110, 13.1.3).
    CHECK_FALSE(not_modified(other, example, tag, example_s));
  }
  CHECK(not_modified("\"a-1\"", "Thu, 01 Jan 1970 00:00:00 GMT", tag, example_s));
}

TEST_CASE("If-Modified-Since", "[response_head]") {
  const std::string_view tag = "\"a\"";
  CHECK(not_modified("", example, tag, example_s));
  CHECK(not_modified("", example, tag, example_s - 1));
  CHECK_FALSE(not_modified("", example, tag, example_s + 1));
  CHECK(not_modified("", "Sunday, 06-Nov-94 08:49:37 GMT", tag, example_s));
  CHECK(not_modified("", "Sun Nov  6 08:49:37 1994", tag, example_s));
  CHECK(not_modified("", "Fri, 31 Dec 9999 23:59:59 GMT", tag, example_s));
  CHECK_FALSE(not_modified("", "", tag, example_s));
  for (const std::int64_t mtime_s : {example_s, std::int64_t{0}, std::int64_t{-1}, std::int64_t{-100}}) {
    CHECK_FALSE(not_modified("", "yesterday", tag, mtime_s));
    CHECK_FALSE(not_modified("", "Wed, 31 Dec 1969 23:59:59 GMT", tag, mtime_s));
  }
}

TEST_CASE("refusals", "[response_head]") {
  const std::map<int, std::string> reasons = {{400, "Bad Request"},
                                              {403, "Forbidden"},
                                              {404, "Not Found"},
                                              {405, "Method Not Allowed"},
                                              {408, "Request Timeout"},
                                              {413, "Content Too Large"},
                                              {414, "URI Too Long"},
                                              {431, "Request Header Fields Too Large"},
                                              {500, "Internal Server Error"},
                                              {501, "Not Implemented"},
                                              {503, "Service Unavailable"},
                                              {505, "HTTP Version Not Supported"}};
  for (const auto& [status, reason] : reasons) {
    const ErrorResponse error_response = make_error_response(status);
    const std::string said = std::to_string(status) + ' ' + reason;
    const Head head = read_head(error_response.head);
    CHECK(head.status_line == "HTTP/1.1 " + said);
    CHECK(head.fields.at("Server") == "bakeoff");
    CHECK(head.fields.at("Content-Type") == "text/plain");
    CHECK(head.fields.at("Content-Length") == std::to_string(error_response.body.size()));
    CHECK(head.fields.size() == (status == 405 || status == 503 ? 4 : 3));
    CHECK(error_response.body.starts_with(said));
    CHECK(error_response.body.back() == '\n');
  }
  CHECK(read_head(make_error_response(405).head).fields.at("Allow") == "GET, HEAD");
  CHECK(read_head(make_error_response(503).head).fields.at("Retry-After") == "1");
}

TEST_CASE("an aligned head is a multiple of 32 bytes that says the same", "[response_head]") {
  for (const std::string path : {"/a", "/ab.html", "/abc.tar.gz"}) {
    for (const std::uint64_t bytes : {0ull, 12345ull, 99999999999ull}) {
      const std::string plain = file_head(path, bytes, 1'000'000'000'000'000'000);
      std::string padded = plain;
      pad_head(padded);
      CHECK(padded.size() % 32 == 0);
      CHECK(padded.size() < plain.size() + 32);
      const std::size_t server = plain.find("Server: bakeoff");
      CHECK(padded.substr(0, server + 15) == plain.substr(0, server + 15));
      CHECK(padded.substr(server + 15 + (padded.size() - plain.size())) == plain.substr(server + 15));
      pad_head(padded);
      CHECK(padded.size() % 32 == 0);
    }
  }
  HeadEnd end(true);
  for (const auto form : {HeadEnd::Connection::implied, HeadEnd::Connection::keep_alive, HeadEnd::Connection::close}) {
    const std::string_view text = end.get(form, 1'000'000'000);
    CHECK(text.size() % 32 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(text.data()) % 32 == 0);
    CHECK(text.ends_with("\r\n\r\n"));
    CHECK(text.starts_with("Date: Sun, 09 Sep 2001 01:46:40 GMT "));
  }
}

TEST_CASE("the end of a head", "[response_head]") {
  HeadEnd end;
  const std::string date = "Date: " + std::string(example) + "\r\n";
  CHECK(end.get(HeadEnd::Connection::implied, example_s) == date + "\r\n");
  CHECK(end.get(HeadEnd::Connection::keep_alive, example_s) == date + "Connection: keep-alive\r\n\r\n");
  CHECK(end.get(HeadEnd::Connection::close, example_s) == date + "Connection: close\r\n\r\n");

  // Within a second nothing is built again; in the next, all forms are.
  const char* const built = end.get(HeadEnd::Connection::close, example_s).data();
  CHECK(end.get(HeadEnd::Connection::close, example_s).data() == built);
  CHECK(end.get(HeadEnd::Connection::implied, example_s + 1) == "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n\r\n");
  CHECK(end.get(HeadEnd::Connection::close, example_s + 1) ==
        "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\nConnection: close\r\n\r\n");

  HeadEnd at_minus_one;
  CHECK(at_minus_one.get(HeadEnd::Connection::implied, -1) == "Date: Wed, 31 Dec 1969 23:59:59 GMT\r\n\r\n");
}

TEST_CASE("conditions are looked at in the order of RFC 9110, 13.2.2") {
  constexpr std::int64_t mtime_s = 784'111'777;
  const std::string_view tag = "\"a\"", same = "Sun, 06 Nov 1994 08:49:37 GMT",
                         earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
  struct Case {
    std::optional<std::string_view> match;
    std::string_view unmodified_since;
    std::optional<std::string_view> none_match;
    std::string_view modified_since;
    int status;
  };
  const Case cases[] = {
      {"\"a\"", "", {}, "", 200},
      {"*", "", {}, "", 200},
      {"\"b\"", "", {}, "", 412},
      {"\"b\", \"a\"", "", {}, "", 200},
      {"W/\"a\"", "", {}, "", 412},  // the strong comparison
      {"", "", {}, "", 412},
      {"nonsense", "", {}, "", 412},
      {"\"b\"", "", "\"a\"", "", 412},  // before If-None-Match
      {"\"a\"", "", "\"a\"", "", 304},
      {"\"a\"", earlier, {}, "", 200},  // in place of If-Unmodified-Since
      {{}, same, {}, "", 200},
      {{}, earlier, {}, "", 412},
      {{}, "yesterday", {}, "", 200},
      {{}, earlier, "\"a\"", "", 412},
      {{}, same, "\"a\"", "", 304},
      {{}, "", "", same, 200},  // an empty list is a list: no date is looked at beside it
      {{}, "", "\"b\"", same, 200},
      {{}, "", {}, same, 304},
      {{}, "", {}, earlier, 200},
  };
  for (const Case& one : cases) {
    Request request;
    request.if_match = one.match;
    request.if_unmodified_since = one.unmodified_since;
    request.if_none_match = one.none_match;
    request.if_modified_since = one.modified_since;
    CAPTURE(one.match.value_or("none"), one.unmodified_since, one.none_match.value_or("none"), one.modified_since);
    CHECK(status_by_conditions(request, tag, mtime_s) == one.status);
  }
}

}  // namespace bakeoff
