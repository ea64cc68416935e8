#include "harness/load/reply_parser.h"

#include <string>
#include <vector>

#include "core/base/random.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

struct Parsed {
  ReplyParser::State state = ReplyParser::State::more;
  std::string body;
  std::string rest;
  std::uint16_t status = 0;
  bool keep_alive = false;
};

// Feeds `text` in pieces of at most `piece` bytes.
Parsed parse(const std::string& text, std::size_t piece = std::string::npos, bool head = false) {
  ReplyParser parser;
  parser.begin(head);
  Parsed parsed;
  std::size_t at = 0;
  while (at < text.size() && parsed.state == ReplyParser::State::more) {
    std::string_view data = std::string_view(text).substr(at, piece);
    while (!data.empty() && parsed.state == ReplyParser::State::more) {
      const auto step = parser.next(data);
      REQUIRE(step.consumed <= data.size());
      parsed.body += step.body;
      parsed.state = step.state;
      data.remove_prefix(step.consumed);
      at += step.consumed;
    }
  }
  parsed.rest = text.substr(at);
  parsed.status = parser.status();
  parsed.keep_alive = parser.keep_alive();
  if (parsed.state == ReplyParser::State::more && parser.end_of_stream()) parsed.state = ReplyParser::State::complete;
  return parsed;
}

constexpr auto complete = ReplyParser::State::complete;
constexpr auto malformed = ReplyParser::State::malformed;
constexpr auto more = ReplyParser::State::more;

}  // namespace

TEST_CASE("a reply parses the same in pieces of any size") {
  struct Case {
    std::string text;
    std::string body;
    bool keep_alive;
  };
  const std::vector<Case> cases = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true},
      {"HTTP/1.1 200 OK\ncontent-LENGTH:5\n\nhello", "hello", true},
      {"HTTP/1.1 200\r\nContent-Length:   0  \r\nConnection: foo, Close\r\n\r\n", "", false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nab", "ab", true},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab", false},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
       "1\r\n\r\nx",
       "x", true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
       "chunked\r\n\r\n5\r\nhello\r\n00A;ext=\"1\"\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
       "hello0123456789", true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n", "x",
       true},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "", true},
      {"HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", false},
      // Folded fields.
      {"HTTP/1.1 200 OK\r\nX-Long: one,\r\n two\r\nContent-Length: 5\r\n\r\nhello", "hello", true},
      {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\t \r\n  5\r\n\r\nhello", "hello", true},
      {"HTTP/1.1 200 OK\nConnection: foo,\n close\nContent-Length: 0\n\n", "", false},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip,\r\n chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n c\r\n\r\n", "x", true},
      // Other codings end with the connection, whatever length is told.
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello", "hello", false},
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\nhello", "hello", false},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\nhello", "hello", false},
  };
  for (const Case& expected : cases)
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, std::size_t{64}, std::string::npos}) {
      INFO(expected.text << " in pieces of " << piece);
      const Parsed parsed = parse(expected.text, piece);
      REQUIRE(parsed.state == complete);
      REQUIRE(parsed.body == expected.body);
      REQUIRE(parsed.rest.empty());
      REQUIRE(parsed.keep_alive == expected.keep_alive);
    }
}

TEST_CASE("a status from 600 to 999 is one") {
  for (const std::uint16_t status : {600, 799, 999}) {
    const Parsed parsed = parse("HTTP/1.1 " + std::to_string(status) + " Odd\r\nContent-Length: 5\r\n\r\nhello");
    REQUIRE(parsed.state == complete);
    REQUIRE(parsed.status == status);
    REQUIRE(parsed.body == "hello");
  }
}

TEST_CASE("a reply to HEAD has no body") {
  const Parsed parsed = parse("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nHTTP", std::string::npos, true);
  REQUIRE(parsed.state == complete);
  REQUIRE(parsed.rest == "HTTP");
}

TEST_CASE("what follows a reply is left alone") {
  REQUIRE(parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200").rest == "HTTP/1.1 200");
  REQUIRE(parse("HTTP/1.1 304 Not Modified\r\n\r\nnext").rest == "next");
}

TEST_CASE("what a server must not send is malformed") {
  const std::vector<std::string> cases = {
      "SSH-2.0-OpenSSH\r\n",
      "HTTP/2 200 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1  200 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\n\r\n",
      "HTTP/1.1 :00 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n 4\r\n\r\nabc",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
      "HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n",
  };
  for (const std::string& text : cases)
    for (const std::size_t piece : {std::size_t{1}, std::string::npos}) {
      INFO(text.substr(0, 80) << " in pieces of " << piece);
      REQUIRE(parse(text, piece).state == malformed);
    }
}

TEST_CASE("a reply that stops early is not complete") {
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  for (std::size_t length = 0; length < text.size(); ++length) REQUIRE(parse(text.substr(0, length)).state == more);
}

TEST_CASE("a counted body can be skipped unseen") {
  ReplyParser parser;
  parser.begin(false);
  REQUIRE(parser.next("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc").state == more);
  REQUIRE(parser.remaining_bytes() == 997);
  REQUIRE(parser.skipped(900) == more);
  REQUIRE(parser.skipped(97) == complete);
}

TEST_CASE("random damage never breaks the parser, and pieces never change what it makes of it") {
  Random random(11);
  const std::vector<std::string> seeds = {
      "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 12\r\n\r\nhello, world",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length:\r\n 3\r\nX: a\r\n b\r\n\r\nabc",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\ngone",
  };
  const std::string alphabet = "\r\n :;0123456789abcdefHTP/.-,x\xff" + std::string(1, '\0');
  for (int round = 0; round < 30'000; ++round) {
    std::string text = seeds[random.below(static_cast<std::uint32_t>(seeds.size()))];
    for (std::uint32_t damage = random.below(4); damage > 0; --damage) {
      const std::size_t at = random.below(static_cast<std::uint32_t>(text.size()));
      const char c = alphabet[random.below(static_cast<std::uint32_t>(alphabet.size()))];
      switch (random.below(3)) {
        case 0: text[at] = c; break;
        case 1: text.insert(at, 1, c); break;
        default: text.erase(at, 1);
      }
    }
    const Parsed whole = parse(text);
    const Parsed pieces = parse(text, 1 + random.below(5));
    INFO(text);
    // A head that came in parts is judged when its end is there; one that came at once may be refused before.
    if (whole.state != malformed || pieces.state != more) REQUIRE(whole.state == pieces.state);
    if (whole.state == complete) {
      REQUIRE(whole.body == pieces.body);
      REQUIRE(whole.rest == pieces.rest);
    }
  }
}
