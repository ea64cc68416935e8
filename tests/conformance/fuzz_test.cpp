// Requests bent at random, from a seed: whatever comes, what the server sends is a row of proper replies, a 200 holds a
// file of the site and nothing else, and the server lives. BAKEOFF_TEST_SEED repeats a run.
#include <cstdlib>
#include <random>
#include <set>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

using Random = std::mt19937;

const std::string pieces[] = {"\r\n",
                              "\r\n\r\n",
                              "\n",
                              "\r",
                              " ",
                              "  ",
                              "\t",
                              ":",
                              "/",
                              "//",
                              "/../",
                              "/./",
                              "%2e",
                              "%00",
                              "%",
                              "?",
                              "#",
                              std::string(1, '\0'),
                              "HTTP/1.1",
                              "HTTP/1.0",
                              "HTTP/9.9",
                              "GET ",
                              "POST ",
                              "Host: y\r\n",
                              "Content-Length: 5\r\n",
                              "Content-Length: 0\r\n",
                              "Content-Length: 99999999999999999999\r\n",
                              "Transfer-Encoding: chunked\r\n",
                              "Connection: close\r\n",
                              "Connection: keep-alive\r\n",
                              "0\r\n\r\n",
                              "5\r\nhello\r\n",
                              "ffffffff\r\n",
                              "If-None-Match: *\r\n",
                              "Expect: 100-continue\r\n",
                              "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                              "\xff\xfe",
                              "*",
                              "http://h/",
                              "\x7f"};

std::string some_request(Random& random) {
  const std::string targets[] = {"/",        "/index.html",        sized(102),     sized(0),         sized(4096),
                                 "/missing", "/sub/deep/file.txt", "/sub/../sub/", "/%69ndex.html?q"};
  const std::string headers[] = {"",
                                 "Connection: close\r\n",
                                 "Content-Length: 5\r\n",
                                 "Transfer-Encoding: chunked\r\n",
                                 "If-None-Match: \"x\"\r\n",
                                 "X: " + std::string(200, 'x') + "\r\n"};
  const std::string bodies[] = {"", "hello", "5\r\nhello\r\n0\r\n\r\n"};
  return request(targets[random() % std::size(targets)], headers[random() % std::size(headers)]) +
         bodies[random() % std::size(bodies)];
}

void mutate(std::string& text, Random& random) {
  const std::size_t at = text.empty() ? 0 : random() % text.size();
  switch (random() % 7) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(random());
      break;
    case 1:
      if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
      break;
    case 2: text.insert(at, pieces[random() % std::size(pieces)]); break;
    case 3: text.erase(at, 1 + random() % 20); break;
    case 4: text.insert(at, text.substr(text.size() / 2, random() % 60)); break;
    case 5: text.insert(at, std::string(random() % 3000, static_cast<char>(random()))); break;
    case 6: text.resize(at); break;
  }
}

std::string printable(const std::string& text) {
  std::string result;
  for (const char c : text.substr(0, 2000)) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, c >= ' ' && c < 0x7f ? "%c" : "\\x%02x", static_cast<unsigned char>(c));
    result += escaped;
  }
  return result;
}

}  // namespace

TEST_CASE("no bytes of a client make the server misbehave") {
  const char* given = std::getenv("BAKEOFF_TEST_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 42;
  INFO("seed " << seed);
  Random random(seed);
  std::set<std::string> contents = {"<title>the root's index</title>\n", "<title>the index of sub</title>\n",
                                    "a file two directories down\n"};
  for (const std::size_t bytes : sizes) {
    if (bytes <= 1'048'576) contents.insert(sized_content(bytes));
  }
  const std::set<int> statuses = {100, 200, 301, 304, 400, 403, 404, 405, 408, 411, 413, 414, 417, 431, 501, 505};
  Server server = serve();
  constexpr int seconds = 2;
  const std::int64_t end = now_ms() + seconds * 1000;
  int conversations = 0;
  while (now_ms() < end) {
    std::string text;
    for (unsigned i = 1 + random() % 3; i > 0; --i) text += some_request(random);
    for (unsigned i = random() % 5; i > 0; --i) mutate(text, random);
    INFO("sent \"" << printable(text) << "\"");
    Client client = server.connect();
    const std::size_t cut = text.empty() ? 0 : random() % text.size();
    client.send(std::string_view(text).substr(0, cut));
    client.send(std::string_view(text).substr(cut));
    ++conversations;
    if (random() % 10 == 0) {
      client.reset();
      continue;
    }
    client.end_sending();
    std::string received = client.read_to_end();
    while (!received.empty()) {
      // A head alone may be the answer to what became a HEAD.
      const Reply reply = take_reply(received, text.find("HEAD ") != std::string::npos, true).value();
      if (statuses.count(reply.status) == 0) FAIL("status " << reply.status);
      if (reply.status == 200 && contents.count(reply.body) == 0) FAIL("a body that is no file's");
    }
  }
  CHECK(conversations > 20);
  CHECK((server.get(sized(65537)).body == sized_content(65537)));
  wait_for_connections(server, 0);
  finish(server);
}

}  // namespace bakeoff::conformance
