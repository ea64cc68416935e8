#include "core/http/synthetic_reply.h"

#include <ctime>

#include "core/http/content.h"
#include "tests/catch.h"
#include "tests/core/server_bench.h"

using namespace bakeoff;
using namespace bakeoff::test;

namespace {

std::string body_of(const std::string& target, std::size_t bytes) {
  std::string body(bytes, '\0');
  content(content_seed(target), 0, body);
  return body;
}

Options dynamic_options() {
  Options options = bench_options();
  options.dynamic = true;
  return options;
}

}  // namespace

TEST_CASE("a target says what it takes, or is a file's") {
  const SyntheticReply reply{.burn_us = 200, .wait_ms = 5, .bytes = 1000};
  CHECK(target_of(reply) == "/dynamic/burn-200us/wait-5ms/size-1000");
  CHECK(parse_synthetic_reply(target_of(reply)) == reply);
  for (const char* other :
       {"/", "/dynamic", "/dynamic/", "/dynamic/burn-us/wait-5ms/size-1", "/dynamic/burn-1us/wait-5ms/size-1x",
        "/dynamic/burn-1us/wait-5ms", "/dynamic/burn-1us/size-1", "/dynamic/burn--1us/wait-5ms/size-1",
        "/dynamic/burn-1000001us/wait-0ms/size-1", "/dynamic/burn-0us/wait-60001ms/size-1",
        "/dynamic/burn-0us/wait-0ms/size-1048577", "/dynamic/burn-99999999999999999999us/wait-0ms/size-1",
        "/d00000/f0000000"}) {
    CAPTURE(other);
    CHECK_FALSE(parse_synthetic_reply(other));
  }
}

TEST_CASE("burning takes processor time") {
  const std::clock_t before = std::clock();
  burn(30'000);
  CHECK(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC >= 0.029);
}

TEST_CASE("a synthetic reply has its bytes, whole, in pieces of its request, and for HEAD none") {
  Bench bench(dynamic_options());
  const std::string file = bench.write("/a", 300);
  const std::string target = "/dynamic/burn-1us/wait-0ms/size-100000";
  Line line(bench);
  for (int round = 0; round < 2; ++round) {
    const Reply reply = line.ask(get(target));
    CHECK(reply.status == 200);
    CHECK(reply.body == body_of(target, 100'000));
    CHECK(reply.header("cache-control") == "no-store");
  }
  line.say(get(target, "", "HEAD") + get("/a") + get("/dynamic/burn-0us/wait-0ms/size-0"));
  line.run();
  CHECK(line.reply(true).header("content-length") == "100000");
  CHECK(line.reply().body == file);
  CHECK(line.reply().body.empty());
  CHECK(line.ask(get("/dynamic/burn-0us/wait-0ms/size-x")).status == 404);
}

TEST_CASE("a reply that has to wait is due at its deadline, and nothing is sent before") {
  Bench bench(dynamic_options());
  const std::string file = bench.write("/a", 300);
  const std::string target = "/dynamic/burn-0us/wait-500ms/size-10";
  Line line(bench);
  line.say(get(target) + get("/a") + get(target, "Connection: close\r\n"));
  REQUIRE(line.run() == Want::timer);
  CHECK(line.run() == Want::timer);  // whoever looks early finds it waiting still
  CHECK(line.heard().empty());
  CHECK(line.connection().deadline_ms() == bench.clock.now_ms() + 500);
  bench.clock.pass(500);
  CHECK(line.connection().expire(bench.worker) == Want::writable);
  CHECK(line.run() == Want::timer);  // the third request, after the second's reply
  CHECK(line.reply().body == body_of(target, 10));
  CHECK(line.reply().body == file);
  bench.clock.pass(500);
  line.run();  // an owner that just goes on finds it due as well
  CHECK(line.reply().body == body_of(target, 10));
}

TEST_CASE("without --dynamic there are no synthetic replies") {
  Bench bench;
  Line line(bench);
  CHECK(line.ask(get("/dynamic/burn-0us/wait-0ms/size-10")).status == 404);
}
