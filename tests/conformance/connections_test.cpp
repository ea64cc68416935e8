// How long a connection lives, and how requests follow each other on it (RFC 9112, 9).
#include <random>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

TEST_CASE("version and Connection decide whether the connection stays") {
  struct Case {
    const char* version;
    const char* connection;
    bool stays;
  };
  const Case cases[] = {
      {"1.1", "", true},
      {"1.1", "Connection: keep-alive\r\n", true},
      {"1.1", "Connection: close\r\n", false},
      {"1.1", "connection: CLOSE\r\n", false},
      {"1.1", "Connection: foo, close\r\n", false},
      {"1.1", "Connection: foo\r\nConnection: close\r\n", false},
      {"1.1", "Connection: keep-alive, close\r\n", false},
      {"1.1", "Connection: closed\r\n", true},
      {"1.0", "", false},
      {"1.0", "Connection: keep-alive\r\n", true},
      {"1.0", "Connection: Keep-Alive\r\n", true},
      {"1.0", "Connection: foo,keep-alive\r\n", true},
      {"1.0", "Connection: close\r\n", false},
      {"1.0", "Connection: keep-alive, close\r\n", false},
  };
  Server server = serve();
  for (const Case& c : cases) {
    for (const std::string method : {"GET", "HEAD"}) {
      for (const std::size_t bytes : {std::size_t{0}, std::size_t{102}, std::size_t{65537}}) {
        INFO(method << " " << bytes << " bytes, HTTP/" << c.version << " " << c.connection);
        const bool to_head = method == "HEAD";
        const std::string text =
            method + " " + sized(bytes) + " HTTP/" + c.version + "\r\nHost: x\r\n" + c.connection + "\r\n";
        Client client = server.connect();
        for (int round = 0; round < (c.stays ? 3 : 1); ++round) {
          client.send(text);
          const Reply reply = client.read_reply(to_head);
          CHECK(reply.status == 200);
          CHECK(reply.minor_version == 1);
          CHECK((to_head || reply.body == sized_content(bytes)));
          const std::string connection = reply.header("connection");
          if (!c.stays && std::string(c.version) == "1.1") CHECK(connection == "close");
          if (!c.stays) CHECK(connection != "keep-alive");
          if (c.stays && std::string(c.version) == "1.0") CHECK(connection == "keep-alive");
          if (c.stays) CHECK(connection != "close");
        }
        if (!c.stays) CHECK(client.ended_silently());
      }
    }
  }
  finish(server);
}

TEST_CASE("a thousand requests follow each other on one connection") {
  Server server = serve();
  Client client = server.connect();
  for (int i = 0; i < 1000; ++i) {
    const std::size_t bytes = sizes[static_cast<std::size_t>(i) % 7];
    const Reply reply = client.get(sized(bytes));
    REQUIRE(reply.status == 200);
    REQUIRE((reply.body == sized_content(bytes)));
  }
  client.close();
  wait_for_connections(server, 0);
  CHECK(finish(server).at("total").at("requests") == 1000);
}

TEST_CASE("requests sent without waiting are answered in their order", "[preset]") {
  for (const Options& options : combinations({"body", "send"})) {
    INFO(in_words(options));
    Server server = serve(options);
    for (const int count : {2, 10, 100, 1000}) {
      INFO(count << " requests");
      std::string text;
      for (int i = 0; i < count; ++i) text += request(sized(sizes[static_cast<std::size_t>(i) % 8]));
      Client client = server.connect();
      REQUIRE(client.send(text));
      for (int i = 0; i < count; ++i) {
        const std::size_t bytes = sizes[static_cast<std::size_t>(i) % 8];
        const Reply reply = client.read_reply();
        REQUIRE(reply.status == 200);
        REQUIRE((reply.body == sized_content(bytes)));
      }
    }
    finish(server);
  }
}

TEST_CASE("large and small, found and missing, HEAD and GET mix in one pipeline", "[preset]") {
  Server server = serve();
  Client client = server.connect(16384);
  std::string text;
  for (int round = 0; round < 3; ++round) {
    text += request(sized(1'048'576)) + request("/missing") + request(sized(102), "", "HEAD") + request(sized(0)) +
            request(sized(65537));
  }
  REQUIRE(client.send(text));
  for (int round = 0; round < 3; ++round) {
    CHECK((client.read_reply().body == sized_content(1'048'576)));
    CHECK(client.read_reply().status == 404);
    CHECK(client.read_reply(true).header("content-length") == "102");
    CHECK(client.read_reply().body == "");
    CHECK((client.read_reply().body == sized_content(65537)));
  }
  client.close();
  finish(server);
}

TEST_CASE("where the bytes of requests are cut does not matter") {
  Server server = serve();
  const std::string three = request(sized(102)) +
                            request("/sub/deep/../index.html?x=1", "X-Long: " + std::string(300, 'x') + "\r\n") +
                            request(sized(1024));
  const auto check = [&](Client& client) {
    CHECK((client.read_reply().body == sized_content(102)));
    CHECK(client.read_reply().body == "<title>the index of sub</title>\n");
    CHECK((client.read_reply().body == sized_content(1024)));
  };
  {
    Client client = server.connect();
    REQUIRE(client.send_byte_by_byte(three));
    check(client);
  }
  for (std::size_t cut = 1; cut < three.size(); cut += 7) {
    INFO("cut at " << cut);
    Client client = server.connect();
    REQUIRE(client.send(std::string_view(three).substr(0, cut)));
    if (cut % 3 == 0) client.read_some(1);  // lets the server see the first part alone, now and then
    REQUIRE(client.send(std::string_view(three).substr(cut)));
    if (cut % 3 != 0) check(client);
  }
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    Client client = server.connect();
    for (std::string_view rest = three; !rest.empty();) {
      const std::size_t piece = std::min<std::size_t>(1 + random() % 60, rest.size());
      REQUIRE(client.send(rest.substr(0, piece)));
      rest.remove_prefix(piece);
    }
    check(client);
  }
  finish(server);
}

TEST_CASE("requests behind one that ends the connection are not answered") {
  Server server = serve();
  const auto replies =
      converse(server, request(sized(102)) + request(sized(102), "Connection: close\r\n") + request("/smuggled.txt"));
  REQUIRE(replies.size() == 2);
  CHECK((replies[1].body == sized_content(102)));
  finish(server);
}

TEST_CASE("empty lines before a request line are passed over") {
  Server server = serve();
  const auto replies = converse(server, "\r\n" + request(sized(102)) + "\r\n" + request(sized(1)));
  REQUIRE(replies.size() == 2);
  CHECK(replies[0].status == 200);
  CHECK((replies[1].body == sized_content(1)));
  finish(server);
}

TEST_CASE("a client that has ended its sending direction still gets its replies") {
  for (const Options& options : combinations({"body", "send"})) {
    INFO(in_words(options));
    Server server = serve(options);
    for (const std::size_t bytes : {std::size_t{102}, std::size_t{1'048'576}}) {
      const auto one = converse(server, request(sized(bytes)));
      REQUIRE(one.size() == 1);
      CHECK((one[0].body == sized_content(bytes)));
      const auto three = converse(server, request(sized(bytes)) + request(sized(1)) + request(sized(bytes)));
      REQUIRE(three.size() == 3);
      CHECK((three[2].body == sized_content(bytes)));
    }
    // Half a request and then the end: nothing, or a 400, but not a connection that stays.
    for (const std::string half : {"", "GET", "GET / HTTP/1.1\r\nHost: x\r\n"}) {
      for (const Reply& reply : converse(server, half)) CHECK((reply.status == 400 || reply.status == 408));
    }
    wait_for_connections(server, 0);
    finish(server);
  }
}

TEST_CASE("a request's body is skipped or ends the connection, and is never the next request") {
  Server server = serve();
  const std::string hidden = request("/smuggled.txt");
  const std::string length = "Content-Length: " + std::to_string(hidden.size()) + "\r\n";
  char chunk_size[16];
  std::snprintf(chunk_size, sizeof chunk_size, "%zx\r\n", hidden.size());
  const std::string chunked = chunk_size + hidden + "\r\n0\r\n\r\n";
  struct Case {
    std::string what;
    std::string bytes;
    int status;  // of the first reply
  };
  const Case cases[] = {
      {"Content-Length", request(sized(102), length) + hidden, 200},
      {"HEAD would not do either, so GET with a lower-case name",
       request(sized(102), "content-length:" + std::to_string(hidden.size()) + "\r\n") + hidden, 200},
      {"chunked", request(sized(102), "Transfer-Encoding: chunked\r\n") + chunked, 200},
      {"chunked with extensions and trailers",
       request(sized(102), "Transfer-Encoding: chunked\r\n") + "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", 200},
      {"POST with Content-Length", request(sized(102), length, "POST") + hidden, 405},
      {"POST, chunked", request(sized(102), "Transfer-Encoding: chunked\r\n", "POST") + chunked, 405},
      {"a missing file", request("/missing", length) + hidden, 404},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    const auto replies = converse(server, c.bytes + request(sized(1)));
    REQUIRE(replies.size() >= 1);
    CHECK(replies.size() <= 2);
    // A chunked body may be more than a server of files wants to read.
    CHECK((replies[0].status == c.status ||
           (replies[0].status == 411 && c.bytes.find("chunked") != std::string::npos) ||
           (replies[0].status == 501 && c.bytes.find("chunked") != std::string::npos)));
    if (replies.size() == 2) CHECK((replies[1].body == sized_content(1)));
    if (replies.size() == 1) CHECK_FALSE(replies[0].keep_alive());
  }
  // A body that comes late, in pieces, behind a reply that may already have been sent.
  Client client = server.connect();
  client.send(request(sized(102), length));
  sleep_ms(20);
  const bool taken = client.send_byte_by_byte(hidden) && client.send(request(sized(1)));
  CHECK(client.read_reply().status == 200);
  if (taken) {
    if (const auto second = client.read_reply_or_end()) CHECK((second->body == sized_content(1)));
  }
  finish(server);
}

TEST_CASE("Expect: 100-continue gets a 100 or the final reply at once") {
  Server server = serve();
  Client client = server.connect();
  client.send(request(sized(102), "Content-Length: 5\r\nExpect: 100-continue\r\n"));
  Reply reply = client.read_reply();
  if (reply.status == 100) {
    client.send("hello");
    reply = client.read_reply();
  }
  CHECK((reply.status == 200 || reply.status == 417));
  finish(server);
}

}  // namespace bakeoff::conformance
