#include "core/http/request_parser.h"

#include <memory>
#include <string>
#include <vector>

#include "tests/catch.h"

namespace bakeoff {
namespace {

using Result = RequestParser::Result;

// What a parser said, with its own copies of everything.
struct Outcome {
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

  bool operator==(const Outcome&) const = default;
};

// Every call gets a block of its own, just as long as it may read, so that the address sanitizer sees a byte too many.
Result parse_copy(RequestParser& parser, std::string_view bytes, Outcome& outcome) {
  const auto block = std::make_unique<char[]>(bytes.size());
  bytes.copy(block.get(), bytes.size());
  Request request;
  const Result result = parser.parse(std::string_view(block.get(), bytes.size()), request);
  outcome = Outcome{};
  outcome.result = result;
  if (result == Result::refused) outcome.status = parser.status();
  if (result == Result::complete) {
    outcome.consumed = parser.consumed();
    outcome.method = request.method;
    outcome.target = request.target;
    outcome.minor_version = request.minor_version;
    outcome.keep_alive = request.keep_alive;
    outcome.chunked = request.chunked;
    outcome.content_bytes = request.content_bytes;
    outcome.if_none_match = request.if_none_match.value_or("");
    outcome.if_modified_since = request.if_modified_since;
  }
  return result;
}

Outcome parse_whole(std::string_view bytes) {
  RequestParser parser;
  Outcome outcome;
  parse_copy(parser, bytes, outcome);
  return outcome;
}

// `ends`: how many bytes are there at each call.
Outcome parse_in_steps(std::string_view bytes, const std::vector<std::size_t>& ends) {
  RequestParser parser;
  Outcome outcome;
  for (const std::size_t end : ends) {
    if (parse_copy(parser, bytes.substr(0, end), outcome) != Result::incomplete) break;
  }
  return outcome;
}

// The whole head at once, byte by byte, and in two parts at every place must give the same.
Outcome parse(std::string_view bytes) {
  const Outcome whole = parse_whole(bytes);
  std::vector<std::size_t> every_byte;
  for (std::size_t end = 0; end <= bytes.size(); ++end) every_byte.push_back(end);
  if (parse_in_steps(bytes, every_byte) != whole) FAIL("byte by byte differs from at once: " << bytes);
  if (bytes.size() < 2000) {
    for (std::size_t split = 0; split <= bytes.size(); ++split) {
      if (parse_in_steps(bytes, {split, bytes.size()}) != whole) FAIL("split at " << split << " differs: " << bytes);
    }
  }
  return whole;
}

int status_of(std::string_view bytes) {
  const Outcome outcome = parse(bytes);
  if (outcome.result == Result::complete) return 200;
  if (outcome.result == Result::incomplete) return 0;
  return outcome.status;
}

// A request for / in HTTP/1.1 with these lines behind Host.
std::string with_fields(std::string_view lines) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n";
}

std::string with_host(std::string_view host) { return "GET / HTTP/1.1\r\nHost:" + std::string(host) + "\r\n\r\n"; }

std::string with_target(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

}  // namespace

TEST_CASE("a whole request is read", "[request_parser]") {
  const std::string head =
      "GET /dir00000/class1_3?q HTTP/1.1\r\n"
      "Host: 127.0.0.1:8080\r\n"
      "User-Agent: test\r\n"
      "If-None-Match: \"a\", W/\"b\" \r\n"
      "if-modified-since:\tSun, 06 Nov 1994 08:49:37 GMT\r\n"
      "Content-Length: 0012\r\n"
      "\r\n";
  const Outcome outcome = parse(head);
  CHECK(outcome.result == Result::complete);
  CHECK(outcome.consumed == head.size());
  CHECK(outcome.method == Method::get);
  CHECK(outcome.target == "/dir00000/class1_3?q");
  CHECK(outcome.minor_version == 1);
  CHECK(outcome.keep_alive);
  CHECK_FALSE(outcome.chunked);
  CHECK(outcome.content_bytes == 12);
  CHECK(outcome.if_none_match == "\"a\", W/\"b\"");
  CHECK(outcome.if_modified_since == "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_CASE("the views point into the bytes of the last call", "[request_parser]") {
  const std::string head = "HEAD /x HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"t\"\r\n\r\n";
  RequestParser parser;
  Request request;
  {
    const std::string part = head.substr(0, 30);
    REQUIRE(parser.parse(part, request) == Result::incomplete);
  }
  REQUIRE(parser.parse(head, request) == Result::complete);
  CHECK(request.method == Method::head);
  CHECK(request.target.data() == head.data() + 5);
  CHECK(request.if_none_match.value().data() == head.data() + head.find("\"t\""));
}

TEST_CASE("a head is incomplete until its last byte", "[request_parser]") {
  const std::string head = "\r\nGET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
  for (std::size_t size = 0; size < head.size(); ++size) {
    CHECK(parse_whole(head.substr(0, size)).result == Result::incomplete);
  }
  CHECK(parse(head).consumed == head.size());
}

TEST_CASE("pipelined heads are read one after the other", "[request_parser]") {
  const std::vector<std::string> heads = {
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
      "\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      "GET /3 HTTP/1.0\r\n\r\n",
  };
  const std::string stream = heads[0] + heads[1] + heads[2];
  const bool with_reset = GENERATE(false, true);
  // `arrived` bytes of the stream are there at first; the rest comes when the parser asks for more.
  for (std::size_t arrived = 0; arrived <= stream.size(); ++arrived) {
    RequestParser parser;
    std::size_t begin = 0;
    std::size_t end = arrived;
    for (std::size_t i = 0; i < heads.size(); ++i) {
      Outcome outcome;
      while (parse_copy(parser, std::string_view(stream).substr(begin, end - begin), outcome) == Result::incomplete) {
        REQUIRE(end < stream.size());
        end = stream.size();
      }
      REQUIRE(outcome.result == Result::complete);
      CHECK(outcome.consumed == heads[i].size());
      CHECK(outcome.target == "/" + std::to_string(i + 1));
      CHECK(outcome.keep_alive == (i == 0));
      begin += outcome.consumed;
      if (with_reset) parser.reset();
    }
    CHECK(begin == stream.size());
  }
}

TEST_CASE("after complete the parser is ready for the next head, after refused it stays refused", "[request_parser]") {
  RequestParser parser;
  Request request;
  REQUIRE(parser.parse("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", request) == Result::complete);
  REQUIRE(parser.parse("GET /22 HTTP/1.1\r\nHost: a\r\n\r\n", request) == Result::complete);
  CHECK(request.target == "/22");
  REQUIRE(parser.parse("junk\n", request) == Result::refused);
  REQUIRE(parser.parse("GET / HTTP/1.0\r\n\r\n", request) == Result::refused);
  CHECK(parser.status() == 400);
  parser.reset();
  CHECK(parser.parse("GET / HTTP/1.0\r\n\r\n", request) == Result::complete);
}

TEST_CASE("an empty condition is told from none", "[request_parser]") {
  RequestParser parser;
  Request request;
  REQUIRE(parser.parse(with_fields("If-None-Match: \r\nIf-Match:\r\n"), request) == Result::complete);
  CHECK(request.conditional);
  CHECK(request.if_match == std::string_view());
  CHECK(request.if_none_match == std::string_view());
  const std::string once = with_fields("If-Unmodified-Since: a\r\n");
  REQUIRE(parser.parse(once, request) == Result::complete);
  CHECK(request.conditional);
  CHECK(request.if_unmodified_since == "a");
  REQUIRE(parser.parse(with_fields("If-Unmodified-Since: a\r\nIf-Unmodified-Since: b\r\n"), request) ==
          Result::complete);
  CHECK(request.if_unmodified_since.empty());
}

TEST_CASE("nothing of a request is left in the next", "[request_parser]") {
  RequestParser parser;
  Request request;
  REQUIRE(parser.parse("HEAD / HTTP/1.0\r\nContent-Length: 7\r\nIf-None-Match: \"a\"\r\nIf-Modified-Since: b\r\n"
                       "If-Match: \"a\"\r\nIf-Unmodified-Since: b\r\n\r\n",
                       request) == Result::complete);
  REQUIRE(parser.parse(with_fields(""), request) == Result::complete);
  CHECK(request.method == Method::get);
  CHECK(request.minor_version == 1);
  CHECK(request.keep_alive);
  CHECK(request.content_bytes == 0);
  CHECK_FALSE(request.conditional);
  CHECK_FALSE(request.if_match);
  CHECK_FALSE(request.if_none_match);
  CHECK(request.if_modified_since.empty());
  CHECK(request.if_unmodified_since.empty());
}

TEST_CASE("request lines", "[request_parser]") {
  struct Case {
    const char* line;
    int status;
  };
  const auto [line, status] = GENERATE(values<Case>({
      {"GET / HTTP/1.1", 200},
      {"HEAD / HTTP/1.1", 200},
      {"GET / HTTP/1.0", 200},
      // A higher minor version is served as 1.1 (RFC 9110, 2.5); any other major one is not served.
      {"GET / HTTP/1.9", 200},
      {"GET / HTTP/2.0", 505},
      {"GET / HTTP/0.9", 505},
      {"GET / HTTP/3.1", 505},
      {"PRI * HTTP/2.0", 505},
      // Not an HTTP version at all; HTTP-name is case-sensitive (RFC 9112, 2.3).
      {"GET / http/1.1", 400},
      {"GET / HTTP/1", 400},
      {"GET / HTTP/1.", 400},
      {"GET / HTTP/1.10", 400},
      {"GET / HTTP/11.1", 400},
      {"GET / HTTP/+1.1", 400},
      {"GET / HTTP/a.1", 400},
      {"GET / HTTP/1,1", 400},
      {"GET / XTTP/1.1", 400},
      {"GET / ", 400},
      {"GET /", 400},
      {"GET", 400},
      {"GET ", 400},
      // One space between the parts, none around them.
      {" GET / HTTP/1.1", 400},
      {"GET  / HTTP/1.1", 400},
      {"GET /  HTTP/1.1", 400},
      {"GET / HTTP/1.1 ", 400},
      {"GET\t/\tHTTP/1.1", 400},
      {"GET /\tHTTP/1.1", 400},
      {"GET /a b HTTP/1.1", 400},
      // Known methods that no file answers to, and unknown ones; methods are case-sensitive (RFC 9110, 9.1).
      {"POST / HTTP/1.1", 405},
      {"PUT / HTTP/1.1", 405},
      {"DELETE / HTTP/1.1", 405},
      {"PATCH / HTTP/1.1", 405},
      {"TRACE / HTTP/1.1", 405},
      {"OPTIONS / HTTP/1.1", 405},
      {"OPTIONS * HTTP/1.1", 405},
      {"CONNECT a:80 HTTP/1.1", 405},
      {"get / HTTP/1.1", 501},
      {"Get / HTTP/1.1", 501},
      {"GETS / HTTP/1.1", 501},
      {"GE / HTTP/1.1", 501},
      {"PROPFIND / HTTP/1.1", 501},
      {"M-SEARCH * HTTP/1.1", 501},
      {"!#$%&'*+-.^_`|~0Az / HTTP/1.1", 501},
      {"G{T / HTTP/1.1", 400},
      {"G@T / HTTP/1.1", 400},
      {"GET: / HTTP/1.1", 400},
      {"G\xc3\x89T / HTTP/1.1", 400},
  }));
  INFO(line);
  CHECK(status_of(std::string(line) + "\r\nHost: a\r\n\r\n") == status);
}

TEST_CASE("targets", "[request_parser]") {
  struct Case {
    const char* target;
    const char* path;  // nullptr: refused with 400
  };
  const auto [target, path] = GENERATE(values<Case>({
      {"/", "/"},
      {"//", "//"},
      {"/a/../b?c#d", "/a/../b?c#d"},
      {"/%00", "/%00"},
      {"/[]{}|^\\\"<>`", "/[]{}|^\\\"<>`"},
      {"/~!$&'()*+,;=:@", "/~!$&'()*+,;=:@"},
      {"http://a", "/"},
      {"http://a?b", "/"},
      {"http://a/", "/"},
      {"HTTP://A.example:8080/b/c?d", "/b/c?d"},
      {"http://[::1]:80/b", "/b"},
      {"http://a%20b/c", "/c"},
      {"http:///b", nullptr},
      {"http://:80/b", nullptr},
      {"http://user@a/b", nullptr},
      {"http://a:b@c/", nullptr},
      {"http://a:8o/b", nullptr},
      {"http://[::1/b", nullptr},
      {"http://[::1]x/b", nullptr},
      {"http://[]/b", nullptr},
      {"http://a%2/b", nullptr},
      {"http://a\\b/c", nullptr},
      {"http:/b", nullptr},
      {"http:", nullptr},
      {"https://a/b", "/b"},
      {"HTTPS://a:443", "/"},
      {"https:///b", nullptr},
      {"ftp://a/b", nullptr},
      {"ftp://a/b", nullptr},
      {"a", nullptr},
      {"a/b", nullptr},
      {"*", nullptr},
      {"a:80", nullptr},
      {"?a", nullptr},
      {"/\xc3\xa9", nullptr},
      {"/\x80", nullptr},
      {"/a\x7f", nullptr},
      {"/a\x01", nullptr},
  }));
  INFO(target);
  const Outcome outcome = parse(with_target(target));
  if (path == nullptr) {
    CHECK(outcome.result == Result::refused);
    CHECK(outcome.status == 400);
  } else {
    REQUIRE(outcome.result == Result::complete);
    CHECK(outcome.target == path);
  }
}

TEST_CASE("Host has to be there once and valid", "[request_parser]") {
  CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("GET http://a/ HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nXHost: a\r\nHos: a\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\n\r\n") == 200);
  CHECK(status_of("GET / HTTP/1.0\r\nHost: a\r\n\r\n") == 200);
  CHECK(status_of("GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nHOST: b\r\n\r\n") == 400);
  for (const char* valid : {"", " ", " a", "a", " a\t ", " a:80", " a:", ":80", " 127.0.0.1:8080", " [::1]",
                            " [::1]:80", " [v1.a:b]", " a.b-c_d~e", " %41", " a!$&'()*+,;="}) {
    INFO(valid);
    CHECK(status_of(with_host(valid)) == 200);
  }
  for (const char* invalid : {" a b", " a/b", " a@b", " a:b", " a:80:80", " a:80 b", " [::1", " []", " ::1", " a,b?",
                              " \"a\"", " a\\b", " %4", " %4g", " a[b]", " \xc3\xa9", " [a]b", " [a]:b", " a#b"}) {
    INFO(invalid);
    CHECK(status_of(with_host(invalid)) == 400);
  }
}

TEST_CASE("lines end in CRLF and in nothing else", "[request_parser]") {
  CHECK(status_of("GET / HTTP/1.1\nHost: a\n\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\n\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\rX: y\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\rHost: a\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n") == 400);
  CHECK(status_of("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
  CHECK(status_of("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
}

TEST_CASE("a bad byte refuses a head as soon as it is there", "[request_parser]") {
  CHECK(status_of("GET / HTTP/1.0\n") == 400);
  CHECK(status_of("\x16\x03\x01") == 400);  // a TLS client at the wrong door
  CHECK(status_of(std::string(1, '\0')) == 400);
}

TEST_CASE("empty lines before a request are passed over", "[request_parser]") {
  const std::string head = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t lines : {1u, 2u, 7u}) {
    std::string bytes;
    for (std::size_t i = 0; i < lines; ++i) bytes += "\r\n";
    const Outcome outcome = parse(bytes + head);
    CHECK(outcome.result == Result::complete);
    CHECK(outcome.consumed == bytes.size() + head.size());
    CHECK(outcome.target == "/a");
  }
  CHECK(status_of("\r\n\r\n\r\n") == 0);
  CHECK(status_of("\r\n \r\nGET / HTTP/1.0\r\n\r\n") == 400);
}

TEST_CASE("fields", "[request_parser]") {
  struct Case {
    const char* lines;
    int status;
  };
  const auto [lines, status] = GENERATE(values<Case>({
      {"", 200},
      {"X:\r\n", 200},
      {"X:y\r\n", 200},
      {"X: \t y \t \r\n", 200},
      {"X: a:b: c\r\n", 200},
      {"X: caf\xc3\xa9\r\n", 200},
      {"!#$%&'*+-.^_`|~0Az: y\r\n", 200},
      {"X: y\r\nX: y\r\n", 200},
      // White space before the colon (RFC 9112, 5.1), folded lines (5.2), white space behind the request line (2.2).
      {"X : y\r\n", 400},
      {"X\t: y\r\n", 400},
      {"X: y\r\n z\r\n", 400},
      {"X: y\r\n\tz\r\n", 400},
      {"X: y\r\n \r\n", 400},
      {" X: y\r\n", 400},
      {"\tX: y\r\n", 400},
      // No name, no colon, no token.
      {": y\r\n", 400},
      {"X\r\n", 400},
      {"X y\r\n", 400},
      {"X(: y\r\n", 400},
      {"X/Y: y\r\n", 400},
      {"\"X\": y\r\n", 400},
      {"X\xc3\xa9: y\r\n", 400},
      // Control bytes (RFC 9110, 5.5).
      {"X: a\x01\r\n", 400},
      {"X: a\x0b\r\n", 400},
      {"X: a\x1f\r\n", 400},
      {"X: a\x7f\r\n", 400},
      {"X\x02: a\r\n", 400},
  }));
  INFO(lines);
  CHECK(status_of(with_fields(lines)) == status);
}

TEST_CASE("every control byte but the tab is refused wherever it stands", "[request_parser]") {
  // Longer than a word of the scan, so that each of its eight places is met.
  const std::string value = "0123456789abcdef";
  for (int byte = 0; byte < 256; ++byte) {
    const bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
    for (std::size_t place = 0; place < value.size(); ++place) {
      std::string changed = value;
      changed[place] = static_cast<char>(byte);
      const Outcome outcome = parse_whole(with_fields("X: " + changed + "\r\n"));
      INFO("byte " << byte << " at " << place);
      CHECK(outcome.result == (control ? Result::refused : Result::complete));
      CHECK(outcome.status == (control ? 400 : 0));
    }
  }
}

TEST_CASE("persistence follows version and Connection", "[request_parser]") {
  struct Case {
    const char* version;
    const char* lines;
    bool keep_alive;
  };
  const auto [version, lines, keep_alive] = GENERATE(values<Case>({
      {"1.1", "", true},
      {"1.1", "Connection: keep-alive\r\n", true},
      {"1.1", "Connection: close\r\n", false},
      {"1.1", "connection: Close\r\n", false},
      {"1.1", "CONNECTION: CLOSE\r\n", false},
      {"1.1", "Connection:close\r\n", false},
      {"1.1", "Connection: TE, close\r\n", false},
      {"1.1", "Connection: close,TE\r\n", false},
      {"1.1", "Connection: ,, \t,close ,\r\n", false},
      {"1.1", "Connection: TE\r\nConnection: close\r\n", false},
      {"1.1", "Connection: close\r\nConnection: TE\r\n", false},
      {"1.1", "Connection: keep-alive, close\r\n", false},
      {"1.1", "Connection: Upgrade, HTTP2-Settings\r\n", true},
      {"1.1", "Connection: closed\r\n", true},
      {"1.1", "Connection: xclose\r\n", true},
      {"1.1", "Connection: close;q=1\r\n", true},
      {"1.1", "Connection:\r\n", true},
      {"1.1", "Connectio: close\r\nXonnection: close\r\n", true},
      {"1.2", "", true},
      {"1.0", "", false},
      {"1.0", "Connection: keep-alive\r\n", true},
      {"1.0", "Connection: Keep-Alive\r\n", true},
      {"1.0", "Connection: TE,  KEEP-ALIVE\r\n", true},
      {"1.0", "Connection: keep-alive, close\r\n", false},
      {"1.0", "Connection: close\r\nConnection: keep-alive\r\n", false},
      {"1.0", "Keep-Alive: 300\r\n", false},
      {"1.0", "Proxy-Connection: keep-alive\r\n", false},
  }));
  INFO(version << ' ' << lines);
  const Outcome outcome = parse("GET / HTTP/" + std::string(version) + "\r\nHost: a\r\n" + std::string(lines) + "\r\n");
  REQUIRE(outcome.result == Result::complete);
  CHECK(outcome.keep_alive == keep_alive);
}

TEST_CASE("the length of a body is unambiguous or refused", "[request_parser]") {
  struct Case {
    const char* lines;
    int status;
    std::uint64_t content_bytes;
    bool chunked;
  };
  const auto [lines, status, content_bytes, chunked] = GENERATE(values<Case>({
      {"Content-Length: 0\r\n", 200, 0, false},
      {"content-length:5\r\n", 200, 5, false},
      {"CONTENT-LENGTH: 5 \t\r\n", 200, 5, false},
      {"Content-Length: 18446744073709551615\r\n", 200, UINT64_MAX, false},
      {"Content-Length: 18446744073709551616\r\n", 400, 0, false},
      {"Content-Length: 99999999999999999999999999\r\n", 400, 0, false},
      {"Content-Length:\r\n", 400, 0, false},
      {"Content-Length: -1\r\n", 400, 0, false},
      {"Content-Length: +5\r\n", 400, 0, false},
      {"Content-Length: 5a\r\n", 400, 0, false},
      {"Content-Length: 0x5\r\n", 400, 0, false},
      {"Content-Length: 5 5\r\n", 400, 0, false},
      {"Content-Length: 5.0\r\n", 400, 0, false},
      {"Content-Length: 5, 5\r\n", 400, 0, false},
      {"Content-Length: 5,\r\n", 400, 0, false},
      {"Content-Length: 5\r\nContent-Length: 5\r\n", 400, 0, false},
      {"Content-Length: 5\r\nContent-Length: 6\r\n", 400, 0, false},
      {"Content-Length: 0\r\ncontent-length: 6\r\n", 400, 0, false},
      {"Content_Length: 5\r\nContent-Lengths: 6\r\n", 200, 0, false},

      {"Transfer-Encoding: chunked\r\n", 200, 0, true},
      {"transfer-encoding:CHUNKED\r\n", 200, 0, true},
      {"Transfer-Encoding: , chunked ,\r\n", 200, 0, true},
      {"Transfer-Encoding: gzip, chunked\r\n", 501, 0, false},
      {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501, 0, false},
      {"Transfer-Encoding: identity, chunked\r\n", 501, 0, false},
      // Without chunked at the end nobody knows where the body ends (RFC 9112, 6.3): a 400 before it is a 501.
      {"Transfer-Encoding: gzip\r\n", 400, 0, false},
      {"Transfer-Encoding: identity\r\n", 400, 0, false},
      {"Transfer-Encoding:\r\n", 400, 0, false},
      {"Transfer-Encoding: chunked, gzip\r\n", 400, 0, false},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", 400, 0, false},
      {"Transfer-Encoding: chunked, chunked\r\n", 400, 0, false},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400, 0, false},
      {"Transfer-Encoding: xchunked\r\n", 400, 0, false},
      {"Transfer-Encoding: chunked;a=b\r\n", 400, 0, false},
      {"Transfer-Encoding: \"chunked\"\r\n", 400, 0, false},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400, 0, false},
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400, 0, false},
      {"Content-Length: 0\r\nTransfer-Encoding: gzip, chunked\r\n", 400, 0, false},
      {"Transfer-Encoding : chunked\r\n", 400, 0, false},
  }));
  INFO(lines);
  const Outcome outcome = parse(with_fields(lines));
  if (status == 200) {
    REQUIRE(outcome.result == Result::complete);
    CHECK(outcome.content_bytes == content_bytes);
    CHECK(outcome.chunked == chunked);
  } else {
    CHECK(outcome.result == Result::refused);
    CHECK(outcome.status == status);
  }
}

TEST_CASE("HTTP/1.0 knows no transfer coding", "[request_parser]") {
  CHECK(status_of("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\nContent-Length: 3\r\n\r\n") == 200);
}

TEST_CASE("a malformed head is a 400 before its method is looked at", "[request_parser]") {
  CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n") == 400);
  CHECK(status_of("POST / HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n") == 400);
  CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n") == 501);
  CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n") == 405);
}

TEST_CASE("conditions that come more than once cannot make a 304 of a 200", "[request_parser]") {
  const Outcome tags = parse(with_fields("If-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\n"));
  CHECK(tags.if_none_match == "\"a\"");
  const Outcome dates = parse(with_fields("If-Modified-Since: x\r\nIf-Modified-Since: y\r\n"));
  CHECK(dates.if_modified_since.empty());
  const Outcome thrice = parse(with_fields("If-Modified-Since: x\r\nIf-Modified-Since: y\r\nIf-Modified-Since: z\r\n"));
  CHECK(thrice.if_modified_since.empty());
}

TEST_CASE("the longest target and the longest head", "[request_parser]") {
  const auto target = [](std::size_t bytes) { return "/" + std::string(bytes - 1, 'a'); };
  CHECK(status_of(with_target(target(RequestParser::longest_target_bytes))) == 200);
  CHECK(status_of(with_target(target(RequestParser::longest_target_bytes + 1))) == 414);
  CHECK(status_of(with_target("http://a" + target(RequestParser::longest_target_bytes))) == 414);

  const auto head = [](std::size_t bytes) {
    const std::size_t rest = with_fields("X: \r\n").size();
    return with_fields("X: " + std::string(bytes - rest, 'x') + "\r\n");
  };
  CHECK(status_of(head(RequestParser::longest_head_bytes)) == 200);
  CHECK(status_of(head(RequestParser::longest_head_bytes + 1)) == 431);
  // No more bytes can make it a head, so that a full buffer never waits.
  CHECK(status_of(head(3 * RequestParser::longest_head_bytes).substr(0, RequestParser::longest_head_bytes)) == 431);
  CHECK(status_of(head(RequestParser::longest_head_bytes + 1).substr(0, RequestParser::longest_head_bytes - 1)) == 0);
  // What follows a head does not count.
  CHECK(status_of(with_fields("") + std::string(2 * RequestParser::longest_head_bytes, '\0')) == 200);

  // Request lines that do not end: the target too long, no target, no method.
  CHECK(status_of("GET " + target(RequestParser::longest_head_bytes)) == 414);
  CHECK(status_of(std::string(RequestParser::longest_head_bytes, 'A')) == 400);
  CHECK(status_of(std::string(RequestParser::longest_head_bytes, ' ')) == 400);
  std::string empty_lines;
  while (empty_lines.size() < RequestParser::longest_head_bytes) empty_lines += "\r\n";
  CHECK(status_of(empty_lines) == 400);
  CHECK(status_of("\r\n" + head(RequestParser::longest_head_bytes - 2)) == 200);
  CHECK(status_of("\r\n" + head(RequestParser::longest_head_bytes - 1)) == 431);
}

}  // namespace bakeoff
