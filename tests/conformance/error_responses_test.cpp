// Requests that are wrong, too large, or not for a server of files: a clear refusal, and never a second meaning.
#include <algorithm>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

struct Case {
  std::string what;
  std::string bytes;
  std::vector<int> statuses;  // any of them is right
};

void check(const Server& server, const Case& c) {
  INFO(c.what);
  Client client = server.connect();
  client.send(c.bytes);
  const Reply reply = client.read_reply();
  INFO("status " << reply.status);
  CHECK(std::find(c.statuses.begin(), c.statuses.end(), reply.status) != c.statuses.end());
  CHECK(reply.has("content-length"));
  CHECK(reply.has("date"));
  CHECK(reply.body.find("smuggled") == std::string::npos);
  if (reply.status == 405) {
    CHECK(reply.header("allow").find("GET") != std::string::npos);
    CHECK(reply.header("allow").find("HEAD") != std::string::npos);
  }
  if (reply.keep_alive()) {
    const Reply next = client.get(sized(102));
    CHECK(next.status == 200);
    CHECK((next.body == sized_content(102)));
  } else {
    CHECK(client.ended_silently());
  }
}

std::string with(const std::string& header) { return request(sized(102), header + "\r\n"); }

}  // namespace

TEST_CASE("refusals say what is wrong and where the connection stands", "[once]") {
  Server server = serve();
  const std::string nul(1, '\0');
  const Case cases[] = {
      {"no request line", "hello\r\n\r\n", {400}},
      {"no version", "GET /\r\n\r\n", {400, 505}},
      {"no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n", {400}},
      {"an empty target", "GET  HTTP/1.1\r\nHost: x\r\n\r\n", {400}},
      {"a space too many", "GET / x HTTP/1.1\r\nHost: x\r\n\r\n", {400}},
      {"a word too many", "GET / HTTP/1.1 x\r\nHost: x\r\n\r\n", {400}},
      {"a broken version", "GET / HTTP/1.x\r\nHost: x\r\n\r\n", {400, 505}},
      {"another protocol", "GET / FTP/1.1\r\nHost: x\r\n\r\n", {400, 505}},
      {"lower-case protocol", "GET / http/1.1\r\nHost: x\r\n\r\n", {400, 505}},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", {505}},
      {"HTTP/3.1", "GET / HTTP/3.1\r\nHost: x\r\n\r\n", {505}},
      {"HTTP/0.9", "GET / HTTP/0.9\r\nHost: x\r\n\r\n", {505}},
      {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 501, 505}},
      {"a TLS greeting", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + "\r\n\r\n", {400}},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", {400}},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}},
      {"NUL in the target", "GET /size-102.bin" + nul + " HTTP/1.1\r\nHost: x\r\n\r\n", {400}},
      {"NUL in a header", with("X: a" + nul + "b"), {400}},
      {"NUL in a name", with("X" + nul + ": a"), {400}},
      {"a control byte in the target", "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", {400}},
      {"a header without a colon", with("nonsense"), {400}},
      {"a header without a name", with(": value"), {400}},
      {"a space before the colon", with("X-A : value"), {400}},
      {"a space before the name", "GET /size-102.bin HTTP/1.1\r\n Host: x\r\n\r\n", {400}},
      {"a folded line", with("X-A: a\r\n b"), {400}},
      {"a carriage return alone", with("X-A: a\rX-B: b"), {400}},
      {"a climb above the root", request("/../x"), {400, 403, 404}},
      {"POST", request(sized(102), "Content-Length: 0\r\n", "POST"), {405}},
      {"PUT", request(sized(102), "Content-Length: 3\r\n", "PUT") + "abc", {405}},
      {"DELETE", request(sized(102), "", "DELETE"), {405}},
      {"OPTIONS", request(sized(102), "", "OPTIONS"), {405}},
      {"OPTIONS *", request("*", "", "OPTIONS"), {400, 405}},
      {"TRACE", request(sized(102), "", "TRACE"), {405}},
      {"CONNECT", request("localhost:80", "", "CONNECT"), {400, 405}},
      {"PATCH", request(sized(102), "Content-Length: 0\r\n", "PATCH"), {405}},
      {"a method nobody knows", request(sized(102), "", "BREW"), {501}},
      {"methods have case", request(sized(102), "", "get"), {501}},
      {"a method that is no token", "G@T / HTTP/1.1\r\nHost: x\r\n\r\n", {400}},
      {"a huge body", request(sized(102), "Content-Length: 1000000000000000\r\n"), {413}},
      {"a long target", request("/" + std::string(4000, 'a')), {414}},
      {"a target longer than any head", request("/" + std::string(100'000, 'a')), {414, 431}},
      {"an endless target", "GET /" + std::string(20'000, 'a'), {414, 431}},
      {"a long header", with("X: " + std::string(20'000, 'a')), {431}},
      {"an endless header", "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(20'000, 'a'), {431}},
      {"an endless name of a header", "GET / HTTP/1.1\r\nHost: x\r\n" + std::string(20'000, 'a'), {400, 431}},
      {"many headers",
       [] {
         std::string lines;
         for (int i = 0; i < 2000; ++i) lines += "X-" + std::to_string(i) + ": y\r\n";
         return request(sized(102), lines);
       }(),
       {431}},
      {"an endless method", std::string(20'000, 'G'), {400, 414, 431, 501}},
      {"a missing file", request("/missing"), {404}},
  };
  for (const Case& c : cases) check(server, c);

  // What must not be refused: the borders from within.
  CHECK(server.get("/" + std::string(1500, 'a')).status == 404);
  CHECK(server.get(sized(102), "X: " + std::string(6000, 'a') + "\r\n").status == 200);
  CHECK(server.get(sized(102), "X-Empty:\r\nX-Tab:\ta\tb\t\r\nX-High: \xfc\r\n").status == 200);
  CHECK(server.get("/size-102.bin?" + std::string(1500, 'q')).status == 200);
  const nlohmann::json total = finish(server).at("total");
  for (const char* status : {"200", "400", "404", "405", "413", "414", "431", "501", "505"}) {
    INFO(status);
    CHECK(total.at("replies_by_status").value(status, 0) > 0);
  }
}

TEST_CASE("a refusal of HEAD has no body", "[once]") {
  Server server = serve();
  Client client = server.connect();
  client.send(request("/missing", "", "HEAD") + request(sized(102), "Connection: close\r\n"));
  CHECK(client.read_reply(true).status == 404);
  CHECK((client.read_reply().body == sized_content(102)));
  finish(server);
}

TEST_CASE("a refusal reaches a client that is still sending", "[once]") {
  Server server = serve();
  for (const std::string& bytes :
       {request(sized(102), "Content-Length: 100000000\r\n", "POST") + std::string(300'000, 'b'),
        "GET / HTTP/1.1\r\nHost: x\r\n" + std::string(300'000, 'x') + "\r\n\r\n"}) {
    for (int round = 0; round < 10; ++round) {
      Client client = server.connect();
      client.send(bytes);
      const Reply reply = client.read_reply();
      CHECK((reply.status == 405 || reply.status == 413 || reply.status == 431 || reply.status == 400));
    }
  }
  finish(server);
}

TEST_CASE("a request with two meanings is refused and nothing behind it is answered", "[once]") {
  Server server = serve();
  const std::string hidden = request("/smuggled.txt");
  const std::string length = std::to_string(hidden.size());
  const std::string cl = "Content-Length: " + length;
  const std::string nul(1, '\0');
  const std::pair<std::string, std::string> cases[] = {
      {"length and chunked", cl + "\r\nTransfer-Encoding: chunked\r\n"},
      {"chunked and length", "Transfer-Encoding: chunked\r\n" + cl + "\r\n"},
      {"two lengths", cl + "\r\nContent-Length: 0\r\n"},
      {"a list of lengths", "Content-Length: 0, " + length + "\r\n"},
      {"a signed length", "Content-Length: +" + length + "\r\n"},
      {"a negative length", "Content-Length: -1\r\n"},
      {"a hexadecimal length", "Content-Length: 0x10\r\n"},
      {"a length with a space", "Content-Length: 1 0\r\n"},
      {"an empty length", "Content-Length:\r\n"},
      {"a length that overflows 64 bits", "Content-Length: 18446744073709551616\r\n"},
      {"a length of many digits", "Content-Length: " + std::string(100, '9') + "\r\n"},
      {"a length with a name and a space", "Content-Length : " + length + "\r\n"},
      {"an unknown coding", "Transfer-Encoding: xchunked\r\n"},
      {"chunked not last", "Transfer-Encoding: chunked, identity\r\n"},
      {"chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"},
      {"chunked with a vertical tab",
       "Transfer-Encoding:\x0b"
       "chunked\r\n"},
      {"chunked on a folded line", "Transfer-Encoding:\r\n chunked\r\n"},
      {"a name with a space", "Transfer-Encoding : chunked\r\n"},
      {"gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n"},
      {"a NUL before the length", nul + cl + "\r\n"},
  };
  for (const auto& [what, headers] : cases) {
    for (const char* method : {"GET", "POST"}) {
      INFO(method << " with " << what);
      const auto replies = converse(server, request(sized(102), headers, method) + hidden + request(sized(1)));
      REQUIRE(replies.size() == 1);
      CHECK((replies[0].status == 400 || replies[0].status == 501 || replies[0].status == 413 ||
             (std::string(method) == "POST" && replies[0].status == 405)));
      CHECK(replies[0].body.find("smuggled") == std::string::npos);
      CHECK_FALSE(replies[0].keep_alive());
    }
  }
  // Chunked bodies that break off from the grammar.
  const std::string chunked_request = request(sized(102), "Transfer-Encoding: chunked\r\n");
  for (const std::string& body :
       {"zz\r\n" + hidden, "-1\r\n" + hidden, "fffffffffffffffff\r\n" + hidden, "5\r\nhelloXX" + hidden,
        "0\r\n" + hidden + "\r\n", "5;" + std::string(20'000, 'e') + "\r\nhello\r\n0\r\n\r\n",
        "0\r\n" + std::string(20'000, 'X') + ": t\r\n\r\n"}) {
    INFO(body.substr(0, 40));
    for (const Reply& reply : converse(server, chunked_request + body))
      CHECK(reply.body.find("smuggled") == std::string::npos);
  }
  // HTTP/1.0 knows no chunks (RFC 9112, 6.1): its framing cannot be trusted.
  const auto old = converse(
      server,
      "GET /size-102.bin HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden);
  REQUIRE(old.size() >= 1);
  CHECK(old.size() == 1);
  finish(server);
}

}  // namespace bakeoff::conformance
