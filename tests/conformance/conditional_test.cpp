// Validators and what they are for (RFC 9110, 8.8 and 13), and the clock in Date.
#include <ctime>
#include <regex>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

std::time_t parse_date(const std::string& text) {
  std::tm parts{};
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return end != nullptr && *end == '\0' ? timegm(&parts) : -1;
}

std::string format_date(std::time_t time, const char* format) {
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[64];
  std::strftime(text, sizeof text, format, &parts);
  return text;
}

constexpr const char* imf = "%a, %d %b %Y %H:%M:%S GMT";

}  // namespace

TEST_CASE("replies carry Date, Last-Modified and a strong ETag", "[once]") {
  Server server = serve();
  Client client = server.connect();
  const std::time_t before = std::time(nullptr);
  const Reply reply = client.get(sized(102));
  const std::time_t after = std::time(nullptr);
  INFO("Date: " << reply.header("date"));
  const std::time_t date = parse_date(reply.header("date"));
  CHECK(date >= before - 1);
  CHECK(date <= after + 1);
  CHECK(parse_date(reply.header("last-modified")) <= after);
  CHECK(parse_date(reply.header("last-modified")) > after - 3600);
  CHECK(std::regex_match(reply.header("etag"), std::regex("\"[!#-~]*\"")));
  CHECK(reply.header("etag") != client.get(sized(1024)).header("etag"));
  const Reply head = client.head(sized(102));
  for (const char* name : {"etag", "last-modified", "content-type", "content-length"})
    CHECK(head.header(name) == reply.header(name));

  // A Date built once a second must not stand still while nothing happens.
  sleep_ms(1600);
  CHECK(parse_date(client.get(sized(102)).header("date")) >= std::time(nullptr) - 1);
  finish(server);
}

TEST_CASE("a client that has the file gets a 304", "[once][preset]") {
  Server server = serve();
  Client client = server.connect();
  const Reply whole = client.get(sized(1024));
  const std::string tag = whole.header("etag");
  const std::string modified = whole.header("last-modified");
  const std::time_t modified_at = parse_date(modified);
  REQUIRE(modified_at > 0);
  const std::string match = "If-None-Match: ";
  const std::string since = "If-Modified-Since: ";
  const std::string earlier = format_date(modified_at - 10, imf);
  const std::string later = format_date(modified_at + 1, imf);
  const std::pair<std::string, int> cases[] = {
      {match + tag, 304},
      {match + "W/" + tag, 304},
      {match + "\"other\", " + tag, 304},
      {match + "\"other\"," + tag + " , \"third\"", 304},
      {match + "*", 304},
      {match + "\"other\"", 200},
      {match + tag.substr(0, tag.size() - 1) + "x\"", 200},
      {match + tag.substr(1, tag.size() - 2), 200},  // without its quotes it is no tag
      {since + modified, 304},
      {since + later, 304},
      {since + earlier, 200},
      {since + format_date(modified_at, "%A, %d-%b-%y %H:%M:%S GMT"), 304},  // RFC 850's form
      {since + format_date(modified_at, "%a %b %e %H:%M:%S %Y"), 304},       // asctime's form
      {since + "yesterday", 200},
      {since + "Thu, 99 Foo 2020 00:00:00 GMT", 200},
      // If-None-Match decides where both are given.
      {match + tag + "\r\n" + since + earlier, 304},
      {match + "\"other\"\r\n" + since + modified, 200},
      {"if-none-match:" + tag, 304},
      {"If-None-Match:\r\n" + since + modified, 200},  // an empty list is one
      // If-Match, or else If-Unmodified-Since, goes before both (RFC 9110, 13.2.2).
      {"If-Match: " + tag, 200},
      {"If-Match: *", 200},
      {"If-Match: \"other\"", 412},
      {"If-Match: W/" + tag, 412},
      {"If-Match: \"other\"\r\n" + match + tag, 412},
      {"If-Match: " + tag + "\r\n" + match + tag, 304},
      {"If-Unmodified-Since: " + modified, 200},
      {"If-Unmodified-Since: " + earlier, 412},
      {"If-Unmodified-Since: yesterday", 200},
      {"If-Match: " + tag + "\r\nIf-Unmodified-Since: " + earlier, 200},
  };
  for (const auto& [header, status] : cases) {
    INFO(header);
    const Reply reply = client.get(sized(1024), header + "\r\n");
    CHECK(reply.status == status);
    if (status != 412) CHECK((reply.body == (status == 200 ? sized_content(1024) : "")));
    CHECK(reply.has("date"));
    CHECK(reply.header("etag") == (status == 412 ? "" : tag));
    const Reply head = client.head(sized(1024), header + "\r\n");
    CHECK(head.status == status);
  }
  // Conditions on a missing file change nothing.
  CHECK(client.get("/missing", match + "*\r\n").status == 404);
  CHECK(client.get(sized(102)).status == 200);
  client.close();
  finish(server);
}

}  // namespace bakeoff::conformance
