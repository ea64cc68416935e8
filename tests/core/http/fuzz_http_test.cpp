// Random and mutated input for what reads untrusted bytes: request parser, targets, dates, entity tags. The seed is
// fixed. Each test ends after a number of inputs, well within a second, or after 20 s on an overloaded machine. Tests
// compare two ways of reading an input, one of them often not ours (Beast, std::filesystem).
#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/request_parser.h"
#include "core/http/response_head.h"
#include "core/http/target.h"
#include "tests/catch.h"

namespace bakeoff {
namespace {

using Result = RequestParser::Result;

class Fuzzer {
 public:
  Fuzzer(std::vector<std::string> seeds, std::vector<std::string> pieces)
      : seeds_(std::move(seeds)), pieces_(std::move(pieces)) {}

  bool more() { return inputs_++ < 50'000 && std::chrono::steady_clock::now() < deadline_; }

  std::size_t below(std::size_t limit) { return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_); }

  // A seed with some of its parts changed.
  std::string input() {
    std::string text = seeds_[below(seeds_.size())];
    for (std::size_t changes = below(6); changes > 0; --changes) change(text);
    return text;
  }

  // Pieces in any order.
  std::string jumble() {
    std::string text;
    for (std::size_t parts = below(12); parts > 0; --parts) text += pieces_[below(pieces_.size())];
    return text;
  }

 private:
  void change(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    const std::size_t count = std::min(below(12), text.size() - at);
    switch (below(6)) {
      case 0: text.insert(at, pieces_[below(pieces_.size())]); break;
      case 1: text.erase(at, count); break;
      case 2: text.insert(at, text.substr(at, count)); break;
      case 3: text.insert(at, 1, static_cast<char>(below(256))); break;
      case 4:
        if (at < text.size()) text[at] = static_cast<char>(static_cast<std::size_t>(text[at]) ^ (1u << below(8)));
        break;
      default: text = text.substr(0, at) + seeds_[below(seeds_.size())];
    }
  }

  std::vector<std::string> seeds_;
  std::vector<std::string> pieces_;
  std::mt19937_64 random_{20260101};
  std::size_t inputs_ = 0;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::now() + std::chrono::seconds(20);
};

// What was read, with offsets instead of views, so that two readings at different addresses compare.
struct Reading {
  Result result = Result::incomplete;
  int status = 0;
  std::size_t consumed = 0;
  Method method = Method::get;
  std::string target;
  int minor_version = 0;
  bool keep_alive = false;
  bool chunked = false;
  std::uint64_t content_bytes = 0;
  std::string if_none_match;
  std::string if_modified_since;

  bool operator==(const Reading&) const = default;
};

// Each call reads a block that ends where its bytes end, for the address sanitizer.
Reading read(RequestParser& parser, std::string_view bytes) {
  const auto block = std::make_unique<char[]>(bytes.size());
  bytes.copy(block.get(), bytes.size());
  Request request;
  Reading reading;
  reading.result = parser.parse(std::string_view(block.get(), bytes.size()), request);
  if (reading.result == Result::refused) reading.status = parser.status();
  if (reading.result == Result::complete) {
    reading.consumed = parser.consumed();
    reading.method = request.method;
    reading.target = request.target;
    reading.minor_version = request.minor_version;
    reading.keep_alive = request.keep_alive;
    reading.chunked = request.chunked;
    reading.content_bytes = request.content_bytes;
    reading.if_none_match = request.if_none_match.value_or("");
    reading.if_modified_since = request.if_modified_since;
  }
  return reading;
}

Reading read(std::string_view bytes) {
  RequestParser parser;
  return read(parser, bytes);
}

// Beast is laxer in most and stricter in a few things (empty lines before a request, versions above 1.1, what stands in
// Connection), which are taken out of its way.
void check_against_beast(std::string_view head, const Reading& reading) {
  namespace http = boost::beast::http;
  while (head.starts_with("\r\n")) head.remove_prefix(2);
  http::request_parser<http::empty_body> parser;
  parser.header_limit(2 * RequestParser::longest_head_bytes);
  parser.body_limit(boost::none);
  boost::beast::error_code error;
  parser.put(boost::asio::const_buffer(head.data(), head.size()), error);
  const std::string_view line = head.substr(0, head.find("\r\n"));
  if (error == http::error::bad_version && !line.ends_with("/1.0") && !line.ends_with("/1.1")) return;
  std::string lower(head);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char byte) { return std::tolower(byte); });
  if (error == http::error::bad_value && lower.find("\r\nconnection:") != std::string::npos) return;
  REQUIRE(parser.is_header_done());
  const auto& message = parser.get();
  REQUIRE((message.method() == http::verb::head) == (reading.method == Method::head));
  REQUIRE(parser.chunked() == reading.chunked);
  REQUIRE(parser.content_length().value_or(0) == reading.content_bytes);
  // In HTTP/1.0 Beast lets keep-alive win over close; RFC 9112, 9.3 has it the other way.
  if (reading.minor_version == 0 && lower.find("close") != std::string::npos) {
    REQUIRE((parser.keep_alive() || !reading.keep_alive));
  } else {
    REQUIRE(parser.keep_alive() == reading.keep_alive);
  }
  const std::string target(message.target());
  if (target.front() == '/') {
    REQUIRE(target == reading.target);
  } else {
    REQUIRE((reading.target == "/" || target.ends_with(reading.target)));
  }
  REQUIRE(std::string(message[http::field::if_none_match]).starts_with(reading.if_none_match));
}

}  // namespace

TEST_CASE("random heads are read the same however they arrive", "[fuzz]") {
  const std::vector<std::string> fields = {"Host: a\r\n",
                                           "Connection: keep-alive\r\n",
                                           "Connection: close\r\n",
                                           "Content-Length: 5\r\n",
                                           "Transfer-Encoding: chunked\r\n",
                                           "Transfer-Encoding: gzip, chunked\r\n",
                                           "If-None-Match: \"a\", W/\"b\"\r\n",
                                           "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                                           "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n"};
  std::vector<std::string> seeds = {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "HEAD /a/b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "GET http://a:80/b?c HTTP/1.1\r\nHost: [::1]:80\r\nConnection: TE, close\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
      "\r\nGET /" + std::string(2040, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(8145, 'x') + "\r\n\r\n",
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
  };
  for (const std::string& field : fields) seeds.push_back("GET / HTTP/1.1\r\nHost: a\r\n" + field + "\r\n");
  std::vector<std::string> pieces = {"GET",
                                     "HEAD",
                                     "PUT",
                                     " ",
                                     "/",
                                     "*",
                                     "a",
                                     "http://a",
                                     " HTTP/1.1\r\n",
                                     "1.0",
                                     "2.0",
                                     ":",
                                     ",",
                                     ";",
                                     "\r\n",
                                     "\n",
                                     "\r",
                                     "\t",
                                     "close",
                                     "\r\n ",
                                     "0",
                                     "[",
                                     "]",
                                     "@",
                                     "%20",
                                     "\x7f",
                                     "\x80",
                                     "Host:",
                                     "\r\n\r\n",
                                     "18446744073709551615",
                                     std::string(1, '\0'),
                                     std::string(2000, 'a')};
  pieces.insert(pieces.end(), fields.begin(), fields.end());
  Fuzzer fuzzer(seeds, pieces);

  std::map<int, std::size_t> seen;  // by status; 0: incomplete, 200: complete
  while (fuzzer.more()) {
    const std::string bytes = fuzzer.below(4) == 0 ? "GET / HTTP/1.1\r\n" + fuzzer.jumble() + "\r\n" : fuzzer.input();
    CAPTURE(bytes);
    const Reading whole = read(bytes);

    // In parts, at random places.
    RequestParser parser;
    Reading in_parts;
    std::size_t arrived = 0;
    while (true) {
      in_parts = read(parser, std::string_view(bytes).substr(0, arrived));
      if (in_parts.result != Result::incomplete || arrived == bytes.size()) break;
      arrived = std::min(bytes.size(), arrived + 1 + fuzzer.below(fuzzer.below(2) == 0 ? 3 : 3000));
    }
    REQUIRE(in_parts == whole);

    switch (whole.result) {
      case Result::incomplete:
        ++seen[0];
        REQUIRE(bytes.size() < RequestParser::longest_head_bytes);
        break;
      case Result::refused:
        ++seen[whole.status];
        // Nothing that follows makes it better, nor anything else.
        REQUIRE(read(bytes + fuzzer.jumble()) == whole);
        break;
      case Result::complete: {
        ++seen[200];
        REQUIRE(whole.consumed <= bytes.size());
        REQUIRE(whole.consumed <= RequestParser::longest_head_bytes);
        const std::string head = bytes.substr(0, whole.consumed);
        REQUIRE(head.ends_with("\r\n\r\n"));
        REQUIRE(head.find("\r\n\r\n", head.find_first_not_of("\r\n")) == head.size() - 4);
        REQUIRE(whole.target.starts_with('/'));
        REQUIRE(whole.target.size() <= RequestParser::longest_target_bytes);
        REQUIRE_FALSE((whole.chunked && (whole.content_bytes != 0 || whole.minor_version == 0)));
        REQUIRE(read(head) == whole);
        REQUIRE(read(head + fuzzer.jumble()) == whole);
        REQUIRE(read(head.substr(0, head.size() - 1)).result == Result::incomplete);
        check_against_beast(head, whole);
        break;
      }
    }
  }
  // The inputs got everywhere, or this test is worth nothing.
  for (const int status : {0, 200, 400, 405, 414, 431, 501, 505}) {
    INFO("status " << status);
    CHECK(seen[status] > 0);
  }
}

TEST_CASE("random targets never leave the root", "[fuzz]") {
  Fuzzer fuzzer(
      {"/", "/a/b/c", "/a/../b", "/a/./b//c/", "/%61%2f%2e%2e/b", "/a?b#c", "/dir00000/class0_0", "/a/b/..", "/..a/.b"},
      {"/", "//", ".", "..", "/..", "../", "%2e", "%2F", "%00", "%", "%25", "?", "#", "a", "\\", "\x80",
       std::string(1, '\0'), "%2", "%41"});
  std::size_t normal_forms = 0;
  std::size_t refused = 0;
  std::size_t plain = 0;
  while (fuzzer.more()) {
    const std::string target = fuzzer.below(3) == 0 ? "/" + fuzzer.jumble() : fuzzer.input();
    CAPTURE(target);
    const std::optional<std::string> normal = normalise_target(target);
    if (is_plain(target)) {
      ++plain;
      REQUIRE(normal == target);
    }
    if (!normal) {
      ++refused;
      continue;
    }
    ++normal_forms;
    REQUIRE(normal->starts_with('/'));
    REQUIRE(normal->find('\0') == std::string::npos);
    REQUIRE(normal->find("//") == std::string::npos);
    for (const char* segment : {"/./", "/../"}) REQUIRE((*normal + '/').find(segment) == std::string::npos);
    REQUIRE_FALSE(normal->ends_with('/'));

    // The normal form of a normal form, spelt in escapes since it may hold '%' and '?' of its own, is itself.
    std::string escaped = "/";
    for (const char byte : normal->substr(1)) {
      constexpr std::string_view digits = "0123456789abcdef";
      const auto value = static_cast<unsigned char>(byte);
      escaped += {'%', digits[value / 16], digits[value % 16]};
    }
    REQUIRE(normalise_target(escaped) == normal);
    if (normal->find_first_of("%?#") == std::string::npos) REQUIRE(normalise_target(*normal) == normal);

    // The standard library reads the same, once escapes and query are gone; two slashes in front it would keep.
    const std::string path = target.substr(0, target.find_first_of("?#"));
    std::string unescaped;
    for (std::size_t i = 0; i < path.size(); ++i) {
      if (path[i] == '%') {
        unescaped += static_cast<char>(std::stoi(path.substr(i + 1, 2), nullptr, 16));
        i += 2;
      } else {
        unescaped += path[i];
      }
    }
    unescaped.erase(0, unescaped.find_first_not_of('/'));
    std::string expected = std::filesystem::path('/' + unescaped).lexically_normal().string();
    if (expected.ends_with('/')) expected += "index.html";
    REQUIRE(*normal == expected);
  }
  CHECK(normal_forms > 100);
  CHECK(refused > 100);
  CHECK(plain > 100);
}

TEST_CASE("random dates are times or nothing", "[fuzz]") {
  Fuzzer fuzzer({"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                 "Tue, 29 Feb 2000 23:59:60 GMT"},
                {"Mon", "Saturday", ",", " ", "-", ":", "00", "31", "Feb", "Jan", "1969", "9999", "GMT", "+", "\x80"});
  std::size_t times = 0;
  std::size_t rejected = 0;
  while (fuzzer.more()) {
    const std::string text = fuzzer.below(4) == 0 ? fuzzer.jumble() : fuzzer.input();
    CAPTURE(text);
    const std::int64_t unix_s = parse_http_date(text);
    if (unix_s == -1) {
      ++rejected;
    } else {
      ++times;
      REQUIRE(unix_s >= 0);
      REQUIRE(parse_http_date(http_date(unix_s)) == unix_s);
    }
    const std::int64_t any_s = static_cast<std::int64_t>(fuzzer.below(253402300800));
    REQUIRE(parse_http_date(http_date(any_s)) == any_s);
    REQUIRE(http_date(static_cast<std::int64_t>(fuzzer.below(SIZE_MAX))).size() == 29);
  }
  CHECK(times > 100);
  CHECK(rejected > 100);
}

TEST_CASE("random entity tags match only what they hold", "[fuzz]") {
  const std::string tag = "\"a-1\"";
  Fuzzer fuzzer({"\"a-1\"", "W/\"a-1\"", "\"b\", \"a-1\"", "\"b\",W/\"c, d\" ,\"a-1\"", "*"},
                {"\"", "W/", ",", " ", "\t", "*", "\"a-1\"", "a-1", "\"b\"", "\x80"});
  std::size_t matches = 0;
  std::size_t others = 0;
  while (fuzzer.more()) {
    const std::string list = fuzzer.below(2) == 0 ? fuzzer.jumble() : fuzzer.input();
    CAPTURE(list);
    const auto status = [&](std::string_view none_match) {
      Request request;
      request.if_none_match = none_match;
      return status_by_conditions(request, tag, 0);
    };
    Request only_if;
    only_if.if_match = list;
    const bool matches_strongly = status_by_conditions(only_if, tag, 0) == 200;
    if (status(list) == 304) {
      ++matches;
      REQUIRE((list == "*" || list.find(tag) != std::string::npos));
      REQUIRE(status("\"x\", " + (list == "*" ? tag : list)) == 304);
    } else {
      ++others;
      REQUIRE_FALSE(matches_strongly);
    }
  }
  CHECK(matches > 100);
  CHECK(others > 100);
}

}  // namespace bakeoff
