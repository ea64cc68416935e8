// Clients that are slower than they may be. All of them at once: each has its own limit, and none holds up another.
#include <algorithm>

#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

constexpr int limit_ms = 1000;
// Not a quality of the server but of a busy machine.
constexpr int late_ms = sanitized ? 8000 : 4000;

Options all_limits() {
  const std::string limit = std::to_string(limit_ms) + "ms";
  return {{"request-timeout", limit}, {"idle-timeout", limit}, {"send-timeout", limit}, {"send-buffer", "16384"}};
}

}  // namespace

TEST_CASE("clients that are too slow are let go, each in its time") {
  Server server = serve(all_limits());
  const std::int64_t start = now_ms();
  struct Slow {
    const char* what;
    Client client;
    std::string drip;  // sent a byte at a time
    std::int64_t ended_ms = -1;
    std::string received = {};
  };
  std::vector<Slow> all;
  all.push_back({"says nothing", server.connect(), ""});
  all.push_back({"drips a request line", server.connect(), "GET /size-102.bin?" + std::string(1000, 'a')});
  all.push_back({"drips a header", server.connect(), std::string(1000, 'a')});
  all.back().client.send("GET / HTTP/1.1\r\nHost: x\r\nX: ");
  all.push_back({"stops within a head", server.connect(), ""});
  all.back().client.send("GET / HTTP/1.1\r\nHost:");
  all.push_back({"drips the second request", server.connect(), ""});
  all.back().client.get(sized(102));
  all.back().drip = "GET /" + std::string(1000, 'a');
  all.push_back({"idles after a reply", server.connect(), ""});
  all.back().client.get(sized(102));
  all.push_back({"idles after a pipeline", server.connect(), ""});
  all.back().client.send(request(sized(102)) + request(sized(1)));
  all.back().client.read_reply();
  all.back().client.read_reply();
  all.push_back({"drips the body of a request", server.connect(), std::string(1000, 'b')});
  all.back().client.send(request(sized(102), "Content-Length: 100000\r\n"));

  // This one is never slow, and must not be let go.
  Client busy = server.connect();
  int served = 0;
  std::int64_t last_served_ms = now_ms();
  while (now_ms() < start + limit_ms + late_ms) {
    bool any = false;
    for (Slow& slow : all) {
      if (slow.ended_ms >= 0) continue;
      any = true;
      if (!slow.drip.empty()) {
        slow.client.send(slow.drip.substr(0, 1));
        slow.drip.erase(0, 1);
      }
      slow.received += slow.client.read_some(10);
      if (slow.client.closed_by_server()) slow.ended_ms = now_ms() - start;
    }
    if (now_ms() - last_served_ms > limit_ms / 2) busy = server.connect();  // a machine too busy to be quick enough
    CHECK(busy.get(sized(102)).status == 200);
    last_served_ms = now_ms();
    ++served;
    if (!any && now_ms() > start + 3 * limit_ms) break;
  }
  CHECK(served > 3);
  for (const Slow& slow : all) {
    INFO("a client that " << slow.what << " ended after " << slow.ended_ms << " ms, having got \""
                          << slow.received.substr(0, 60) << "\"");
    CHECK(slow.ended_ms >= limit_ms - 100);
    const std::string what = slow.what;
    std::string received = slow.received;
    if (what.rfind("idles", 0) == 0) CHECK(received.empty());
    if (what == "stops within a head" || what == "drips a header" || what == "drips a request line" ||
        what == "drips the second request") {
      CHECK(take_reply(received, false, true).value().status == 408);
      CHECK(received.empty());
    }
  }
  all.clear();
  busy.close();
  wait_for_connections(server, 0);
  const nlohmann::json total = finish(server).at("total");
  CHECK(total.at("closed_request_timeout").get<int>() >= 4);
  CHECK(total.at("closed_idle_timeout").get<int>() >= 2);
}

TEST_CASE("a reader that does not read is let go, and one that reads slowly is not") {
  for (const Options& send : combinations({"send"})) {
    constexpr int send_limit_ms = 2 * limit_ms;  // the slow reader must stay within it on a busy machine too
    Options options = {{"send-timeout", std::to_string(send_limit_ms) + "ms"}, {"send-buffer", "16384"}};
    options.insert(send.begin(), send.end());
    INFO(in_words(options));
    // One event loop that blocks in a send blocks all connections: what its other clients see then is no error, and
    // some of them it may not have accepted yet.
    const bool goes_on = options.count("send") == 0 || options.at("send") == "nonblocking";
    Server server = serve(options);
    std::vector<Client> stuck;
    for (int i = 0; i < 3; ++i) {
      stuck.push_back(server.connect(4096));
      stuck.back().send(request(sized(20'971'520)));
    }
    Client slow = server.connect(8192);
    slow.send(request(sized(1'048'576)));
    Client other = server.connect();
    const std::int64_t start = now_ms();
    std::size_t most_connections = 0;
    while (now_ms() < start + 2 * send_limit_ms + limit_ms / 2) {
      slow.take_now(16384);
      if (goes_on) {
        if (other.get(sized(102)).status != 200) FAIL("another client is held up");
      }
      most_connections = std::max(most_connections, server.connections());
      sleep_ms(10);
    }
    if (goes_on) CHECK(most_connections >= 4);
    CHECK((slow.read_reply().body == sized_content(1'048'576)));
    slow.close();
    other.close();
    wait_for_connections(server, 0);
    // What is left in the socket, and then the end long before the whole.
    for (Client& client : stuck) CHECK(client.read_to_end().size() < 20'971'520);
    stuck.clear();
    CHECK(finish(server).at("total").at("closed_send_timeout").get<int>() >= 3);
  }
}

}  // namespace bakeoff::conformance
