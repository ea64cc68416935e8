// Clients that break off: the server goes on, and keeps nothing of them.
#include <algorithm>
#include <random>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

constexpr int rounds = sanitized ? 400 : 3000;

}  // namespace

TEST_CASE("thousands of connections that come and go leave nothing behind") {
  Server server = serve();
  const auto warm_up = [&] {
    for (int i = 0; i < 100; ++i) server.get(sized(102));
    wait_for_connections(server, 0);
  };
  warm_up();
  const std::size_t descriptors = server.descriptors();
  for (int i = 0; i < rounds; ++i) {
    Client client = server.connect();
    if (i % 3 == 0) continue;  // without a word
    client.send(request(sized(102), i % 3 == 1 ? "Connection: close\r\n" : ""));
    REQUIRE((client.read_reply().body == sized_content(102)));
  }
  warm_up();
  CHECK(server.descriptors() <= descriptors + server.processes());  // one that met the file only now has it open
  const nlohmann::json total = finish(server).at("total");
  // One that came and went before it was accepted need not be seen.
  CHECK(total.at("accepts").get<int>() >= rounds * 2 / 3);
}

TEST_CASE("clients that reset at any moment harm nobody") {
  for (const Options& options : combinations({"send"})) {
    INFO(in_words(options));
    Options small = options;
    small["send-buffer"] = "16384";
    Server server = serve(small);
    server.get(sized(102));
    server.get(sized(1'048'576));
    wait_for_connections(server, 0);
    Client steady = server.connect();
    // Where a blocking send holds up others, by design, it is not for a test to wait for readers that never read.
    const bool blocking = options.count("send") != 0 && options.at("send") == "blocking";
    const std::string whole = request(sized(blocking ? 4096 : 1'048'576)) + request(sized(102));
    std::mt19937 random(19990606);
    const int most = std::min(20, suite().most_connections / 2);
    std::vector<Client> open;
    for (int i = 0; i < rounds / 3; ++i) {
      open.push_back(server.connect(random() % 2 == 0 ? 4096 : 0));
      open.back().send(std::string_view(whole).substr(0, random() % (whole.size() + 1)));
      if (static_cast<int>(open.size()) < most) continue;
      std::swap(open[random() % open.size()], open.back());
      Client& victim = open.back();
      if (random() % 2 == 0) victim.take_now(random() % 100'000);
      switch (random() % 3) {
        case 0: victim.reset(); break;
        case 1: victim.end_sending(); break;
        case 2: break;
      }
      open.pop_back();
      if (i % 50 == 0) REQUIRE((steady.get(sized(65537)).body == sized_content(65537)));
    }
    open.clear();
    CHECK((steady.get(sized(102)).body == sized_content(102)));
    steady.close();
    wait_for_connections(server, 0);
    finish(server);
  }
}

TEST_CASE("resets while the disk is waited for harm nobody") {
  // Without caches every request waits for a name to be looked up, and where there is a choice also for its body.
  const std::vector<std::string> checks = suite().values("residency");
  const bool always = std::find(checks.begin(), checks.end(), "always-absent") != checks.end();
  for (const std::string body : {"auto", "sendfile", "uncached"}) {
    Options options = {{"body", body}, {"cache-paths", "off"}, {"cache-files", "off"}};
    if (always && !(suite().options.count("threads") != 0 && suite().options.at("threads") == "kernel")) options["residency"] = "always-absent";
    INFO(in_words(options));
    const std::unique_ptr<Server> server = serve_unless_refused(options);
    if (!server && suite().preset) continue;  // its bytes of cache mean nothing without files
    REQUIRE(server);
    std::mt19937 random(20040101);
    std::vector<Client> open;
    for (int i = 0; i < rounds / 3; ++i) {
      open.push_back(server->connect());
      open.back().send(request(sized(sizes[random() % (sizes.size() - 1)])));
      if (open.size() < 16) continue;
      std::swap(open[random() % open.size()], open.back());
      if (random() % 2 == 0) open.back().reset();
      open.pop_back();
    }
    open.clear();
    wait_for_connections(*server, 0);
    CHECK((server->get(sized(65537)).body == sized_content(65537)));
    finish(*server);
  }
}

}  // namespace bakeoff::conformance
