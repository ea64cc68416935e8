// Synthetic replies: their bytes, and who waits for those that have to.
#include "core/http/content.h"
#include "core/http/synthetic_reply.h"
#include "tests/conformance/suite.h"

namespace bakeoff::conformance {

namespace {

std::string body_of(const std::string& target, std::size_t bytes) {
  std::string body(bytes, '\0');
  content(content_seed(target), 0, body);
  return body;
}

}  // namespace

TEST_CASE("synthetic replies have their bytes, whatever they take") {
  Server server = serve({{"dynamic", "on"}});
  Client client = server.connect();
  for (const SyntheticReply reply : {SyntheticReply{0, 0, 1000}, SyntheticReply{100, 0, 1000},
                                     SyntheticReply{0, 20, 300'000}, SyntheticReply{100, 1, 0}}) {
    const std::string target = target_of(reply);
    CAPTURE(target);
    const std::int64_t begun_ms = now_ms();
    const Reply answer = client.get(target);
    CHECK(answer.status == 200);
    CHECK(answer.body == body_of(target, reply.bytes));
    CHECK(now_ms() - begun_ms >= static_cast<std::int64_t>(reply.wait_ms) - 10);  // a tick of the coarse clock
    CHECK(client.get(sized(102)).status == 200);
  }
  // What comes while a reply waits does not hasten it, and is not lost.
  const std::string waits = target_of({0, 100, 10});
  const std::int64_t begun_ms = now_ms();
  client.send(request(waits));
  client.send(request(sized(102)));
  CHECK(client.read_reply().body == body_of(waits, 10));
  CHECK(now_ms() - begun_ms >= 100 - 10);
  CHECK(client.read_reply().body == sized_content(102));

  const std::string slow = target_of({0, 5, 10});
  client.send(request(slow) + request(sized(102)) + request(slow, "", "HEAD") + request(slow, "Connection: close\r\n"));
  CHECK(client.read_reply().body == body_of(slow, 10));
  CHECK(client.read_reply().body == sized_content(102));
  CHECK(client.read_reply(true).header("content-length") == "10");
  CHECK(client.read_reply().body == body_of(slow, 10));
  CHECK(client.ended_silently());
  finish(server);
}

// Longer than any delay of a busy machine, which must not be mistaken for a delayed worker.
const SyntheticReply endless{.burn_us = 0, .wait_ms = SyntheticReply::most_wait_ms, .bytes = 10};

TEST_CASE("a pool that serves a connection at a time stops when as many replies wait as it has workers", "[once]") {
  if (!suite().connection_per_worker) return;
  Server server = serve({{"dynamic", "on"}, {suite().connection_per_worker ? "workers" : "connections", "2"}});
  Client first = server.connect();
  first.send(request(target_of(endless)));
  Client served = server.connect();
  CHECK(served.get(sized(102), "Connection: close\r\n").status == 200);

  const SyntheticReply waits{.burn_us = 0, .wait_ms = 500, .bytes = 10};
  const std::int64_t begun_ms = now_ms();
  Client second = server.connect();
  second.send(request(target_of(waits), "Connection: close\r\n"));
  Client held_up = server.connect();
  CHECK(held_up.get(sized(102)).status == 200);
  CHECK(now_ms() - begun_ms >= 500 - 10);
  CHECK(second.read_reply().body == body_of(target_of(waits), 10));
  finish(server);
}

TEST_CASE("in front of many replies that wait, all others are served at once", "[once]") {
  if (suite().connection_per_worker) return;
  Server server = serve({{"dynamic", "on"}, {"workers", "1"}});
  std::vector<Client> waiting;
  for (int i = 0; i < 50; ++i) {
    waiting.push_back(server.connect());
    waiting.back().send(request(target_of(endless)));
  }
  Client other = server.connect();
  for (int i = 0; i < 3; ++i) CHECK(other.get(sized(102)).status == 200);
  CHECK(waiting.front().read_some(0).empty());
  waiting.clear();
  finish(server);
}

TEST_CASE("without --dynamic there are no synthetic replies", "[once]") {
  Server server = serve();
  CHECK(server.connect().get(target_of({0, 0, 10})).status == 404);
  finish(server);
}

}  // namespace bakeoff::conformance
