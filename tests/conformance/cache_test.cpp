// Caches change the speed and nothing else; files may change under them.
#include <unistd.h>
#include <filesystem>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

// The reply to one request on a connection of its own; nothing when the server broke off, which it must do rather than
// send other bytes than the head has promised.
std::optional<Reply> get_unless_broken_off(const Server& server, const std::string& target) {
  Client client = server.connect();
  client.send(request(target, "Connection: close\r\n"));
  std::string received = client.read_to_end();
  if (received.find("\r\n\r\n") == std::string::npos) return std::nullopt;
  try {
    return take_reply(received, false, true);
  } catch (const std::runtime_error& error) {
    const std::string what = error.what();
    if (what.find("bytes early") == std::string::npos) throw;
    return std::nullopt;
  }
}

// How long an entry is used here, and until it certainly is not used any more.
const Options valid_shortly = {{"cache-valid", "50ms"}};
constexpr int no_longer_valid_ms = 100;

// Whichever worker answers: each may have a cache of its own.
void check_becomes(const Server& server, const std::string& target, const std::string& content) {
  sleep_ms(no_longer_valid_ms);
  for (int round = 0; round < 8; ++round) {
    const std::optional<Reply> reply = get_unless_broken_off(server, target);
    REQUIRE(reply);
    CHECK(reply->status == 200);
    CHECK((reply->body == content));
  }
}

}  // namespace

TEST_CASE("every combination of caches serves the same", "[once]") {
  for (const Options& body : combinations({"body"})) {
    for (int bits = 0; bits < 8; ++bits) {
      Options options = body;
      options["cache-paths"] = (bits & 1) != 0 ? "on" : "off";
      options["cache-heads"] = (bits & 2) != 0 ? "on" : "off";
      options["cache-files"] = (bits & 4) != 0 ? "on" : "off";
      INFO(in_words(options));
      Server server = serve(options);
      Client client = server.connect();
      for (int round = 0; round < 2; ++round) {
        for (const std::size_t bytes : {std::size_t{0}, std::size_t{102}, std::size_t{65537}}) {
          const Reply reply = client.get(sized(bytes));
          CHECK(reply.status == 200);
          CHECK((reply.body == sized_content(bytes)));
          CHECK(client.get(sized(bytes), "If-None-Match: " + reply.header("etag") + "\r\n").status == 304);
        }
        CHECK(client.get("/missing").status == 404);
      }
      client.close();
      wait_for_connections(server, 0);
      finish(server);
    }
  }
}

TEST_CASE("a cache that is too small for its files gives way to them", "[once]") {
  for (const Options& body : combinations({"body"})) {
    for (const Options& bound : {Options{{"cache-entries", "2"}}, Options{{"cache-bytes", "100000"}},
                                 Options{{"cache-bytes", "0"}}, Options{{"cache-entries", "0"}}}) {
      Options options = body;
      options.insert(bound.begin(), bound.end());
      INFO(in_words(options));
      Server server = serve(options);
      Client client = server.connect();
      for (int round = 0; round < 3; ++round) {
        for (const std::size_t bytes : sizes) {
          if (bytes > 1'048'576) continue;
          const Reply reply = client.get(sized(bytes));
          CHECK(reply.status == 200);
          CHECK((reply.body == sized_content(bytes)));
        }
      }
      // Counted once a process, and processes that share a table count each other's. The last file may be held until
      // its reply is over for the server, too.
      if (bound.count("cache-entries") != 0)
        CHECK(eventually([&] { return server.open_files(site().root) <= 2 * server.processes(); }));
      client.close();
      finish(server);
    }
  }
}

TEST_CASE("a file that changes is served anew once its entry is no longer valid", "[once][preset]") {
  for (const Options& body : combinations({"body"})) {
    Options options = body;
    options.insert(valid_shortly.begin(), valid_shortly.end());
    INFO(in_words(options));
    TempDir root;
    const std::string first = test_content("first", 40'000);
    root.write("file.bin", first);
    root.write("other.txt", "other");
    Server server = serve_directory(root.path().string(), options);
    Client before = server.connect();
    const Reply original = before.get("/file.bin");
    REQUIRE((original.body == first));

    const std::string second = test_content("second", 70'000);
    root.replace("file.bin", second);
    check_becomes(server, "/file.bin", second);
    const Reply renewed = server.get("/file.bin", "If-None-Match: " + original.header("etag") + "\r\n");
    CHECK(renewed.status == 200);
    CHECK(renewed.header("etag") != original.header("etag"));
    CHECK(before.get("/file.bin").body.size() == second.size());  // a connection that was there before

    const std::string same_size = test_content("third", 70'000);
    root.replace("file.bin", same_size);
    check_becomes(server, "/file.bin", same_size);

    const std::string grown = same_size + test_content("more", 200'000);
    root.write("file.bin", grown);  // in place
    check_becomes(server, "/file.bin", grown);

    const std::string shrunk = test_content("less", 10);
    root.write("file.bin", shrunk);
    check_becomes(server, "/file.bin", shrunk);

    root.write("file.bin", "");
    check_becomes(server, "/file.bin", "");

    std::filesystem::remove(root.path() / "file.bin");
    sleep_ms(no_longer_valid_ms);
    for (int round = 0; round < 8; ++round) CHECK(server.get("/file.bin").status == 404);
    root.write("file.bin", first);
    check_becomes(server, "/file.bin", first);
    std::filesystem::remove(root.path() / "file.bin");
    root.write("file.bin/index.html", "now a directory");
    check_becomes(server, "/file.bin/", "now a directory");
    CHECK(server.get("/other.txt").body == "other");
    before.close();
    finish(server);
  }
}

TEST_CASE("a file that is cut short while it is served or cached harms its own reply only", "[once]") {
  for (const Options& options : combinations({"body", "residency"})) {
    INFO(in_words(options));
    TempDir root;
    const std::string content = test_content("large", 4'000'000);
    root.write("large.bin", content);
    root.write("small.bin", content.substr(0, 30'000));
    root.write("other.txt", "other");
    Options valid_long = options;
    valid_long["send-buffer"] = "65536";
    const std::unique_ptr<Server> started = serve_unless_refused(valid_long, root.path().string());
    if (!started) {
      CHECK(options.at("residency") != "none");
      continue;
    }
    Server& server = *started;
    for (int round = 0; round < 2; ++round) {
      CHECK((server.get("/large.bin").body == content));
      CHECK(server.get("/small.bin").status == 200);
    }

    // In the middle of a reply: what comes is a prefix of what was, then the end, or the whole of it.
    Client half_way = server.connect(8192);
    half_way.send(request("/large.bin", "Connection: close\r\n"));
    REQUIRE(eventually([&] { return half_way.take_now(4096) > 0 && half_way.pending().size() > 10'000; }));
    REQUIRE(truncate((root.path() / "large.bin").c_str(), 1'000'000) == 0);
    REQUIRE(truncate((root.path() / "small.bin").c_str(), 0) == 0);
    const std::string received = half_way.read_to_end();
    const std::string body = received.substr(received.find("\r\n\r\n") + 4);
    CHECK(body.size() <= content.size());
    CHECK((content.compare(0, std::min<std::size_t>(body.size(), 1'000'000), body, 0,
                           std::min<std::size_t>(body.size(), 1'000'000)) == 0));

    // While cached: any whole reply of one state of the file, or a reply that is broken off.
    for (int round = 0; round < 3; ++round) {
      for (const std::string target : {"/large.bin", "/small.bin"}) {
        INFO(target);
        if (const auto reply = get_unless_broken_off(server, target)) {
          CHECK((reply->body == content.substr(0, reply->body.size())));
        }
      }
      CHECK(server.get("/other.txt").body == "other");
    }
    finish(server);
  }
}

TEST_CASE("files that are replaced all the time are served from one state or the other", "[once]") {
  for (const Options& body : combinations({"body"})) {
    Options options = body;
    options["cache-valid"] = "1ms";
    INFO(in_words(options));
    TempDir root;
    const std::string states[] = {test_content("a", 50'000), test_content("b", 90'000)};
    root.write("file.bin", states[0]);
    Server server = serve_directory(root.path().string(), options);
    Client client = server.connect();
    for (int round = 1; round <= 100; ++round) {
      root.replace("file.bin", states[round % 2]);
      const Reply reply = client.get("/file.bin");
      REQUIRE(reply.status == 200);
      REQUIRE((reply.body == states[0] || reply.body == states[1]));
    }
    client.close();
    finish(server);
  }
}

}  // namespace bakeoff::conformance
