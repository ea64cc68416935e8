#include "core/connection.h"

#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/http/response_head.h"
#include "tests/catch.h"
#include "tests/core/server_bench.h"

using namespace bakeoff;
using namespace bakeoff::test;

namespace {

constexpr std::array body_kinds = {BodyKind::automatic, BodyKind::sendfile, BodyKind::mmap, BodyKind::buffer,
                                   BodyKind::uncached};

Options with_body(BodyKind kind) {
  Options options = bench_options();
  options.body = kind;
  return options;
}

std::string date_of(const Bench& bench, const std::string& name) {
  struct stat attributes {};
  REQUIRE(::stat((bench.directory.path() / name.substr(1)).c_str(), &attributes) == 0);
  return http_date(attributes.st_mtim.tv_sec);
}

}  // namespace

TEST_CASE("a request gets its file, and the connection stays") {
  const BodyKind kind = GENERATE(from_range(body_kinds));
  const std::size_t size = GENERATE(0, 999, 1001, 300'000);
  CAPTURE(name_of(kind), size);
  Bench bench(with_body(kind));
  const std::string content = bench.write("/a.txt", size);
  Line line(bench);
  for (int round = 0; round < 2; ++round) {
    const Reply reply = line.ask(get("/a.txt"));
    CHECK(reply.status == 200);
    CHECK(reply.body == content);
    CHECK(reply.header("content-type") == "text/plain");
    CHECK(reply.header("date") == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(reply.header("last-modified") == date_of(bench, "/a.txt"));
    CHECK_FALSE(reply.has("connection"));
  }
  CHECK(line.heard().empty());
  CHECK_FALSE(line.ended());
  CHECK(bench.stats.requests.get() == 2);
  CHECK(bench.stats.cache_hits.get() == 1);  // where no file is kept, the known name is enough to open it again
  CHECK(bench.stats.cache_misses.get() == 1);
  CHECK(bench.stats.body_bytes.get() == 2 * size);
}

TEST_CASE("a connection's time begins when it is made, however long its worker has waited before") {
  Bench bench;
  bench.clock.per_refresh_ms = 3'600'000;
  const std::int64_t before = bench.clock.now_ms();
  Line line(bench);
  CHECK(line.connection().deadline_ms() >= before + 3'600'000 + bench.options.request_timeout_ms);
}

TEST_CASE("a request may arrive in any two pieces, or byte by byte") {
  Bench bench;
  const std::string content = bench.write("/dir/a.txt", 500);
  bench.write("/dir/index.html", 20);
  const std::string tag = "\"no-such-tag\"";
  const std::string request = get("/dir/%61.txt?query", "If-None-Match: " + tag + "\r\n");
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    Line line(bench);
    line.say(request.substr(0, cut));
    REQUIRE(line.run() == Want::readable);
    REQUIRE(line.heard().empty());
    line.say(request.substr(cut));
    REQUIRE(line.run() == Want::readable);
    REQUIRE(line.reply().body == content);
  }
  Line line(bench);
  for (int round = 0; round < 2; ++round) {
    for (const char byte : request) {
      REQUIRE(line.heard().empty());
      line.say({&byte, 1});
      REQUIRE(line.run() == Want::readable);
    }
    REQUIRE(line.reply().body == content);
  }
}

TEST_CASE("pipelined requests are answered in their order, wherever the stream is cut") {
  Bench bench;
  const std::string a = bench.write("/a", 300);
  const std::string b = bench.write("/b", 5000);
  const std::string all = get("/a") + get("/missing") + get("/b", "", "HEAD") + get("/b", "Content-Length: 5\r\n") +
                          "12345" + get("/a", "Connection: close\r\n");
  for (std::size_t cut = 1; cut <= all.size(); cut += 3) {
    CAPTURE(cut);
    Line line(bench);
    Want want = Want::readable;
    for (std::size_t at = 0; at < all.size(); at += cut) {
      line.say(all.substr(at, cut));
      want = line.run();
    }
    REQUIRE(line.reply().body == a);
    REQUIRE(line.reply().status == 404);
    const Reply head = line.reply(true);
    REQUIRE(head.status == 200);
    REQUIRE(head.header("content-length") == "5000");
    REQUIRE(line.reply().body == b);
    const Reply last = line.reply();
    REQUIRE(last.body == a);
    REQUIRE(last.header("connection") == "close");
    REQUIRE(want == Want::close);
    REQUIRE(line.heard().empty());
  }
}

TEST_CASE("a client that pipelines for ever does not fill the memory") {
  Bench bench;
  bench.write("/a", 10);
  Line line(bench);
  // Each piece ends inside a request, so that there is always a rest to keep.
  const std::string request = get("/a");
  std::string batch;
  while (batch.size() < 20'000) batch += request;
  line.say(request.substr(0, 10));
  line.run();
  const std::string turned = batch.substr(10) + request.substr(0, 10);
  const auto allocated = [] { return ::mallinfo2().uordblks; };
  std::size_t before = 0;
  for (int round = 0; round < 50; ++round) {
    line.say(turned);
    REQUIRE(line.run() == Want::readable);
    line.heard().clear();
    if (round == 2) before = allocated();
  }
  CHECK(allocated() < before + 200'000);
  CHECK(bench.stats.replies[0].get() == 50 * (batch.size() / request.size()));
}

TEST_CASE("whatever little the socket takes, the bytes come in order") {
  const BodyKind kind = GENERATE(from_range(body_kinds));
  const std::size_t size = GENERATE(700, 200'000);
  const bool heads = GENERATE(true, false);
  CAPTURE(name_of(kind), size, heads);
  Options options = with_body(kind);
  options.cache_heads = heads;
  Bench bench(options);
  const std::string content = bench.write("/a", size);
  Line line(bench, 1);  // the kernel raises it to its least
  for (int round = 0; round < 2; ++round) {
    line.say(get("/a"));
    for (int steps = 0; steps < 10'000; ++steps) {
      const Want want = line.connection().advance(bench.worker);
      if (want == Want::readable) break;
      REQUIRE(want != Want::close);
      line.take(512);
    }
    const Reply reply = line.reply();
    REQUIRE(reply.status == 200);
    REQUIRE(reply.body == content);
  }
  if (size == 200'000) CHECK(bench.stats.would_block_sends.get() + bench.stats.partial_sends.get() > 0);
}

TEST_CASE("a head that the socket takes in part goes on where it stopped") {
  Bench bench;
  bench.write("/a", 0);
  Line line(bench, 1);
  // Many small replies that nobody takes fill the buffer to the last byte, inside some head.
  std::string requests;
  for (int i = 0; i < 100; ++i) requests += get("/a") + get("/missing") + get("/a", "", "HEAD");
  line.say(requests);
  for (int steps = 0; steps < 10'000; ++steps) {
    const Want want = line.connection().advance(bench.worker);
    REQUIRE(want != Want::close);
    if (want == Want::readable && !line.take(64)) break;
    line.take(64);
  }
  for (int i = 0; i < 100; ++i) {
    REQUIRE(line.reply().status == 200);
    REQUIRE(line.reply().status == 404);
    REQUIRE(line.reply(true).status == 200);
  }
  CHECK(line.heard().empty());
}

TEST_CASE("HEAD has the head of GET and no body") {
  const bool heads = GENERATE(true, false);
  Options options = bench_options();
  options.cache_heads = heads;
  Bench bench(options);
  bench.write("/a", 5000);
  Line line(bench);
  const Reply get_reply = line.ask(get("/a"));
  const Reply head_reply = line.ask(get("/a", "", "HEAD"), true);
  CHECK(head_reply.status == 200);
  CHECK(head_reply.headers == get_reply.headers);
  const Reply missing = line.ask(get("/missing", "", "HEAD"), true);
  CHECK(missing.status == 404);
  CHECK(line.heard().empty());
  CHECK(line.ask(get("/a")).body.size() == 5000);
  CHECK(bench.stats.body_bytes.get() == 10'000);
}

TEST_CASE("what the client has already is not sent again") {
  const bool heads = GENERATE(true, false);
  const BodyKind kind = GENERATE(BodyKind::automatic, BodyKind::uncached);
  Options options = with_body(kind);
  options.cache_heads = heads;
  Bench bench(options);
  bench.write("/a", 5000);
  Line line(bench);
  const Reply first = line.ask(get("/a"));
  const std::string tag = first.header("etag");
  REQUIRE_FALSE(tag.empty());
  for (const std::string& condition : {"If-None-Match: " + tag, std::string("If-None-Match: *"),
                                       "If-Modified-Since: " + first.header("last-modified")}) {
    CAPTURE(condition);
    const Reply reply = line.ask(get("/a", condition + "\r\n"));
    CHECK(reply.status == 304);
    CHECK(reply.header("etag") == tag);
    CHECK(reply.body.empty());
  }
  CHECK(line.ask(get("/a", "If-None-Match: \"other\"\r\nIf-Modified-Since: " + first.header("last-modified") + "\r\n"))
            .status == 200);
  CHECK(line.ask(get("/a", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n")).status == 200);
  CHECK(line.heard().empty());
}

TEST_CASE("a refusal after which the connection can be trusted leaves it open") {
  Bench bench;
  bench.write("/dir/a", 5);
  std::filesystem::create_symlink("/etc/passwd", bench.directory.path() / "link");
  Line line(bench);
  CHECK(line.ask(get("/missing")).status == 404);
  CHECK(line.ask(get("/link")).status == 403);
  const Reply moved = line.ask(get("/dir"));
  CHECK(moved.status == 301);
  CHECK(moved.header("location") == "/dir/");
  CHECK(moved.body.empty());
  CHECK(line.ask(get("/dir/")).status == 404);
  CHECK(line.ask(get("/dir/a")).status == 200);
  CHECK_FALSE(line.ended());
}

TEST_CASE("a redirection escapes what a header must not carry") {
  Bench bench;
  std::filesystem::create_directory(bench.directory.path() / "a b\r\nX: y\xC3\xA4");
  Line line(bench);
  const Reply reply = line.ask(get("//a%20b%0D%0AX:%20y%c3%a4"));
  CHECK(reply.status == 301);
  CHECK(reply.header("location") == "/a%20b%0D%0AX%3A%20y%C3%A4/");
  CHECK_FALSE(reply.has("x"));
}

TEST_CASE("a refusal that ends the connection drains before it closes") {
  struct Case {
    std::string request;
    int status;
  };
  const Case refused = GENERATE(values<Case>({
      {"nonsense\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /../up HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\n\r\n", 405},
      {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"GET /" + std::string(3000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(9000, 'a') + "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", 413},
  }));
  CAPTURE(refused.status, refused.request.substr(0, 40));
  Bench bench;
  bench.write("/index.html", 5);
  Line line(bench);
  line.say(refused.request);
  REQUIRE(line.run() == Want::readable);
  const Reply reply = line.reply();
  CHECK(reply.status == refused.status);
  CHECK(reply.header("connection") == "close");
  CHECK(line.ended());  // this side has said all
  line.say("what is sent meanwhile is dropped" + get("/index.html"));
  CHECK(line.run() == Want::readable);
  CHECK(line.heard().empty());
  CHECK(bench.stats.requests.get() == 1);
  SECTION("until the client ends") {
    line.end_sending();
    CHECK(line.run() == Want::close);
  }
  SECTION("until its time is over") {
    CHECK(line.connection().deadline_ms() > bench.clock.now_ms());
    bench.clock.pass(2000);
    CHECK(line.connection().deadline_ms() <= bench.clock.now_ms());
    CHECK(line.connection().expire(bench.worker) == Want::close);
  }
  SECTION("until the client resets") {
    line.hang_up();
    while (line.connection().advance(bench.worker) != Want::close) {
    }
  }
  CHECK(bench.stats.closed_by_us.get() == 1);
  CHECK(bench.stats.closed_request_timeout.get() == 0);
}

TEST_CASE("a client that never stops sending does not hold its worker while it is drained") {
  Bench bench;
  Line line(bench);
  line.say("nonsense\r\n\r\n");
  REQUIRE(line.run() == Want::readable);
  for (int i = 0; i < 10; ++i) line.say(std::string(10'000, 'x'));
  REQUIRE(line.connection().advance(bench.worker) == Want::readable);
  // One turn took one buffer; the deadline is looked at between turns.
  int turns = 1;
  line.end_sending();
  while (line.connection().advance(bench.worker) != Want::close) ++turns;
  CHECK(turns == 2);
}

TEST_CASE("a body that nobody asked for is skipped, and what follows it is a request") {
  Bench bench;
  const std::string content = bench.write("/a", 100);
  const std::size_t size = GENERATE(1, 1000, 200'000);
  const bool at_once = GENERATE(true, false);
  Line line(bench);
  std::string body(size, 'x');
  if (at_once) {
    const std::string all = get("/a", "Content-Length: " + std::to_string(size) + "\r\n") + body + get("/a");
    for (std::size_t at = 0; at < all.size(); at += 30'000) {
      line.say(all.substr(at, 30'000));
      line.run();
    }
    while (line.connection().advance(bench.worker) != Want::readable) {
    }
  } else {
    line.say(get("/a", "Content-Length: " + std::to_string(size) + "\r\n"));
    REQUIRE(line.run() == Want::readable);
    CHECK(line.connection().deadline_ms() == bench.clock.now_ms() + bench.options.request_timeout_ms);
    while (!body.empty()) {
      line.say(body.substr(0, 777));
      body.erase(0, 777);
      REQUIRE(line.run() == Want::readable);
    }
    CHECK(line.connection().deadline_ms() == bench.clock.now_ms() + bench.options.idle_timeout_ms);
    line.say(get("/a"));
    line.run();
  }
  line.run();
  CHECK(line.reply().body == content);
  CHECK(line.reply().body == content);
  CHECK(line.heard().empty());
  CHECK(bench.stats.requests.get() == 2);
}

TEST_CASE("a body that does not come ends the connection") {
  Bench bench;
  bench.write("/a", 100);
  Line line(bench);
  line.ask(get("/a", "Content-Length: 10\r\n") + "12345");
  SECTION("when its time is over") {
    CHECK(line.connection().expire(bench.worker) == Want::close);
    CHECK(bench.stats.closed_request_timeout.get() == 1);
  }
  SECTION("when the client ends") {
    line.end_sending();
    CHECK(line.run() == Want::close);
    CHECK(bench.stats.closed_by_peer.get() == 1);
  }
}

TEST_CASE("after a chunked request the answer comes and the connection ends") {
  Bench bench;
  const std::string content = bench.write("/a", 100);
  Line line(bench);
  line.say(get("/a", "Transfer-Encoding: chunked\r\n") + "5\r\nGET /\r\n0\r\n\r\n");
  REQUIRE(line.run() == Want::readable);
  const Reply reply = line.reply();
  CHECK(reply.status == 200);
  CHECK(reply.body == content);
  CHECK(reply.header("connection") == "close");
  CHECK(line.ended());
  CHECK(bench.stats.requests.get() == 1);
}

TEST_CASE("the version and Connection decide whether the connection stays") {
  Bench bench;
  bench.write("/a", 10);
  Line line(bench);
  CHECK(line.ask("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").header("connection") == "keep-alive");
  CHECK_FALSE(line.ask(get("/a")).has("connection"));
  SECTION("HTTP/1.0") {
    line.say("GET /a HTTP/1.0\r\n\r\n");
    CHECK(line.run() == Want::close);
  }
  SECTION("close") {
    line.say(get("/a", "Connection: close\r\n"));
    CHECK(line.run() == Want::close);
  }
  CHECK(line.reply().header("connection") == "close");
  CHECK(bench.stats.closed_by_us.get() == 1);
}

TEST_CASE("deadlines: the first request, its rest, the next one, the reader") {
  Options options = bench_options();
  options.request_timeout_ms = 100;
  options.idle_timeout_ms = 1000;
  options.send_timeout_ms = 10'000;
  Bench bench(options);
  bench.write("/a", 10);
  bench.write("/large", 500'000);
  Line line(bench, 1);
  const auto left_ms = [&] { return line.connection().deadline_ms() - bench.clock.now_ms(); };
  CHECK(left_ms() == 100);

  SECTION("nothing comes") {
    CHECK(line.connection().expire(bench.worker) == Want::close);
    CHECK(line.heard().empty());
    CHECK(bench.stats.closed_idle_timeout.get() == 1);
  }
  SECTION("a request that comes slowly gets a 408") {
    bench.clock.pass(60);
    line.say("GET /");
    line.run();
    CHECK(left_ms() == 100);
    bench.clock.pass(60);
    line.say("a");
    line.run();
    CHECK(left_ms() == 40);  // from its first byte, not from its last
    CHECK(line.connection().expire(bench.worker) == Want::readable);
    CHECK(line.reply().status == 408);
    CHECK(line.ended());
    CHECK(left_ms() == 2000);
    CHECK(bench.stats.closed_request_timeout.get() == 1);
    CHECK(bench.stats.requests.get() == 0);
    CHECK(line.connection().expire(bench.worker) == Want::close);
  }
  SECTION("between requests") {
    line.ask(get("/a"));
    CHECK(left_ms() == 1000);
    CHECK(line.connection().expire(bench.worker) == Want::close);
    CHECK(line.heard().empty());
    CHECK(bench.stats.closed_idle_timeout.get() == 1);
  }
  SECTION("the rest of a pipelined request") {
    line.ask(get("/a") + "GET /");
    CHECK(left_ms() == 100);
    CHECK(line.connection().expire(bench.worker) == Want::readable);
    CHECK(line.reply().status == 408);
  }
  SECTION("a reader that takes nothing") {
    line.say(get("/large"));
    while (line.connection().advance(bench.worker) == Want::disk) {
    }
    CHECK(left_ms() == 10'000);
    bench.clock.pass(9'000);
    line.take(4096);
    while (line.take(4096) && line.connection().advance(bench.worker) != Want::writable) {
    }
    while (line.take()) line.connection().advance(bench.worker);  // each piece that it takes begins the time anew
    CHECK(line.heard().size() >= 500'000);
  }
  SECTION("a reader that takes no more") {
    line.say(get("/large"));
    while (line.connection().advance(bench.worker) == Want::disk) {
    }
    bench.clock.pass(5'000);
    CHECK(line.connection().advance(bench.worker) == Want::writable);
    CHECK(left_ms() == 5'000);
    CHECK(line.connection().expire(bench.worker) == Want::close);
    CHECK(bench.stats.closed_send_timeout.get() == 1);
  }
}

TEST_CASE("with sockets in blocking mode the time that a call took counts") {
  Options options = bench_options();
  options.send = Sending::blocking;
  Bench bench(options, Sharing::nobody, Waiting::in_calls);
  bench.write("/a", 10);
  Line line(bench);
  bench.clock.per_refresh_ms = 70'000;
  line.say(get("/a"));
  const std::int64_t before = bench.clock.now_ms();
  while (line.connection().advance(bench.worker) != Want::readable) {
  }
  CHECK(line.reply().status == 200);
  CHECK(bench.clock.now_ms() >= before + 140'000);  // that of the receive and that of the send
  CHECK(line.connection().deadline_ms() == bench.clock.now_ms() + options.idle_timeout_ms);
}

TEST_CASE("a name that may not be in memory is announced before it is looked up") {
  const BodyKind kind = GENERATE(from_range(body_kinds));
  Bench bench(with_body(kind));
  const std::string content = bench.write("/dir/a.txt", 2000);
  Line line(bench);
  // A second request behind it: the first must survive that the worker's buffer serves others.
  line.say(get("/dir/a.txt") + get("/dir/./a.txt"));
  REQUIRE(line.connection().advance(bench.worker) == Want::disk);
  CHECK(line.connection().wants_disk());
  CHECK(line.connection().has_input());
  const DiskJob job = line.connection().disk_job();
  CHECK(job.path_view() == "dir/a.txt");  // relative to the root
  CHECK(job.offset == 0);
  CHECK(job.length > 0);
  std::fill(bench.worker.scratch.begin(), bench.worker.scratch.end(), '#');
  SECTION("and the step is taken by advance") { CHECK(line.run() == Want::readable); }
  SECTION("and the step is taken by another thread") {
    CHECK(line.connection().wait_for_disk(bench.worker) == std::nullopt);
    CHECK_FALSE(line.connection().wants_disk());
    std::fill(bench.worker.scratch.begin(), bench.worker.scratch.end(), '#');
    CHECK(line.run() == Want::readable);
  }
  CHECK(line.reply().body == content);
  CHECK(line.reply().body == content);
  CHECK(bench.stats.disk_waits.get() == 1);
}

TEST_CASE("whoever prefetches reads as much of a new file as will be copied") {
  const auto whole_bytes = [](BodyKind kind, std::uint64_t auto_limit_bytes) {
    Options options = with_body(kind);
    options.auto_limit_bytes = auto_limit_bytes;
    options.cache_bytes = 100 << 20;
    Bench bench(options);
    bench.write("/a", 10);
    Line line(bench);
    line.say(get("/a"));
    REQUIRE(line.connection().advance(bench.worker) == Want::disk);
    return line.connection().disk_job().whole_bytes;
  };
  CHECK(whole_bytes(BodyKind::sendfile, 1 << 20) == 0);
  CHECK(whole_bytes(BodyKind::mmap, 1 << 20) == 0);
  CHECK(whole_bytes(BodyKind::automatic, 1 << 20) == 1 << 20);
  CHECK(whole_bytes(BodyKind::buffer, 1 << 20) == 100 << 20);
  CHECK(whole_bytes(BodyKind::automatic, 1 << 30) == 100 << 20);  // a longer file is not copied whole
}

TEST_CASE("a file longer than the cache is sent piece by piece, by every strategy") {
  const BodyKind kind = GENERATE(from_range(body_kinds));
  const Residency residency = GENERATE(Residency::none, Residency::always_offload);
  CAPTURE(name_of(kind));
  Options options = with_body(kind);
  options.cache_bytes = 100'000;
  options.auto_limit_bytes = 1 << 20;
  options.residency = residency;
  Bench bench(options);
  const std::string content = bench.write("/a", 300'001);
  Line line(bench);
  for (int round = 0; round < 3; ++round) CHECK((line.ask(get("/a")).body == content));
  CHECK(line.ask(get("/a", "", "HEAD"), true).header("content-length") == "300001");
}

TEST_CASE("who waits for a body on the disk is timed") {
  Options options = with_body(BodyKind::sendfile);
  options.residency = Residency::always_offload;
  Bench bench(options);
  const std::string content = bench.write("/a", 50'000);
  Line line(bench);
  CHECK(line.ask(get("/a")).body == content);
  const std::uint64_t once = bench.stats.disk_blocked_ns.get();
  CHECK(once > 0);
  CHECK(line.ask(get("/a")).body == content);  // the name is known: what is waited for is the body
  CHECK(bench.stats.disk_blocked_ns.get() > once);
}

TEST_CASE("a name that must be normalised reaches the helper in its normal form") {
  Bench bench;
  bench.write("/dir/index.html", 10);
  Line line(bench);
  line.say(get("/x/../%64ir/?q"));
  REQUIRE(line.connection().advance(bench.worker) == Want::disk);
  CHECK(line.connection().disk_job().path_view() == "dir/index.html");
  line.run();
  CHECK(line.reply().status == 200);
}

TEST_CASE("when nothing is taken to be in memory each attempt to send is announced") {
  const BodyKind kind = GENERATE(from_range(body_kinds));
  CAPTURE(name_of(kind));
  Options options = with_body(kind);
  options.residency = Residency::always_offload;
  Bench bench(options);
  const std::string content = bench.write("/a", 50'000);
  Line line(bench, 1);
  line.say(get("/a"));
  REQUIRE(line.connection().advance(bench.worker) == Want::disk);
  REQUIRE(line.connection().wait_for_disk(bench.worker) == std::nullopt);
  int waits = 0;
  Want want = line.connection().advance(bench.worker);
  while (want != Want::readable) {
    REQUIRE(want != Want::close);
    if (want == Want::disk) {
      ++waits;
      const DiskJob job = line.connection().disk_job();
      REQUIRE(job.path_view() == "a");
      REQUIRE(job.offset + job.length <= content.size());
      std::fill(bench.worker.scratch.begin(), bench.worker.scratch.end(), '#');
      want = *line.connection().wait_for_disk(bench.worker);
    } else {
      line.take();
      want = line.connection().advance(bench.worker);
    }
  }
  CHECK(line.reply().body == content);
  CHECK((waits > 0) == (kind != BodyKind::buffer));  // what lies in the server's own memory is always there
}

TEST_CASE("a step that found the socket full is taken again without a new announcement") {
  Options options = with_body(BodyKind::sendfile);
  options.residency = Residency::always_offload;
  Bench bench(options);
  const std::string content = bench.write("/a", 50'000);
  Line line(bench, 1);
  line.say(get("/a"));
  REQUIRE(line.connection().advance(bench.worker) == Want::disk);
  REQUIRE(line.connection().wait_for_disk(bench.worker) == std::nullopt);
  REQUIRE(line.connection().advance(bench.worker) == Want::disk);
  std::optional<Want> want = line.connection().wait_for_disk(bench.worker);
  while (want == Want::writable) {
    line.take();
    want = line.connection().wait_for_disk(bench.worker);
  }
  CHECK(want == Want::readable);
  CHECK_FALSE(line.connection().wants_disk());
  CHECK(line.reply().body == content);
  CHECK(bench.stats.disk_waits.get() == 2);  // for the name and, once, for the body
}

TEST_CASE("a body is checked and sent range by range, and what is in memory needs no disk") {
  Options options = bench_options();
  const auto [kind, residency] = GENERATE(table<BodyKind, Residency>({{BodyKind::mmap, Residency::mincore},
                                                                      {BodyKind::sendfile, Residency::nowait},
                                                                      {BodyKind::uncached, Residency::nowait},
                                                                      {BodyKind::sendfile, Residency::cachestat}}));
  if (!is_supported(residency)) return;
  options.body = kind;
  options.residency = residency;
  Bench bench(options);
  const std::string content = bench.write("/a", 2 * residency_range_bytes + 100);  // just written: in the page cache
  Line line(bench);
  line.say(get("/a"));
  REQUIRE(line.connection().advance(bench.worker) == Want::disk);  // the name
  REQUIRE(line.run() == Want::readable);
  CHECK(line.reply().body == content);
  CHECK(bench.stats.disk_waits.get() == 1);
  CHECK(bench.stats.residency_absent.get() == 0);
  CHECK(bench.stats.residency_checks.get() >= 3);
}

TEST_CASE("prepare stops where a response is to be sent, transmit where it was") {
  Bench bench;
  const std::string content = bench.write("/a", 3000);
  Line line(bench);
  line.say(get("/a") + get("/missing") + "GET /");
  REQUIRE(line.connection().prepare(bench.worker) == Want::disk);
  REQUIRE(line.connection().prepare(bench.worker) == Want::writable);
  CHECK(line.heard().empty());
  REQUIRE(line.connection().prepare(bench.worker) == Want::writable);
  REQUIRE(line.connection().transmit(bench.worker) == Want::readable);
  CHECK(line.reply().body == content);
  CHECK(line.connection().has_input());
  REQUIRE(line.connection().prepare(bench.worker) == Want::disk);
  REQUIRE(line.connection().prepare(bench.worker) == Want::writable);
  REQUIRE(line.connection().transmit(bench.worker) == Want::readable);
  CHECK(line.reply().status == 404);
  CHECK(line.connection().prepare(bench.worker) == Want::readable);
}

TEST_CASE("parse stops at a whole request, whose name is looked up elsewhere") {
  Bench bench;
  const std::string content = bench.write("/a", 10);
  Worker other(bench.server, 1, bench.stats, std::make_unique<FakeClock>());
  Line line(bench);
  line.ask(get("/a"));
  line.say("GET /a HT");
  CHECK(line.connection().parse(bench.worker) == Want::readable);
  CHECK_FALSE(line.connection().has_input());  // what is here was parsed, and is not enough
  line.say("TP/1.1\r\nHost: h\r\n\r\n");
  CHECK(line.connection().parse(bench.worker) == std::nullopt);
  std::fill(bench.worker.scratch.begin(), bench.worker.scratch.end(), 'x');  // that worker serves others meanwhile
  CHECK(line.connection().prepare(other) == Want::writable);
  CHECK(line.connection().body_bytes_left() == 10);
  CHECK(line.connection().transmit(other) == Want::readable);
  CHECK(line.reply().body == content);
  CHECK(line.connection().parse(bench.worker) == Want::readable);

  // What is refused is not looked up; what the client ends is not parsed.
  line.say("GET /a HTTP/9.9\r\n\r\n");
  CHECK(line.connection().parse(bench.worker) == Want::writable);
  CHECK(line.connection().transmit(other) == Want::readable);
  CHECK(line.reply().status == 505);
  line.hang_up();
  CHECK(line.connection().parse(bench.worker) == Want::close);
}

TEST_CASE("what is rejected gets a 503, and the connection stays") {
  Options options = bench_options();
  options.residency = Residency::always_offload;
  options.body = BodyKind::sendfile;
  Bench bench(options);
  const std::string content = bench.write("/a", 300'000);
  Line line(bench);
  const auto reject = [&] {
    REQUIRE(line.connection().may_reject());
    CHECK(line.connection().reject(bench.worker) == Want::writable);
    CHECK_FALSE(line.connection().wants_disk());
    CHECK(line.connection().transmit(bench.worker) == Want::readable);
    const Reply reply = line.reply();
    CHECK(reply.status == 503);
    CHECK(reply.header("retry-after") == "1");
    CHECK(reply.keep_alive());
  };
  line.say(get("/a"));
  REQUIRE(line.connection().advance(bench.worker) == Want::disk);  // the name
  reject();
  line.say(get("/a"));
  REQUIRE(line.connection().advance(bench.worker) == Want::disk);
  REQUIRE(line.connection().wait_for_disk(bench.worker) == std::nullopt);
  REQUIRE(line.connection().advance(bench.worker) == Want::disk);  // the pages
  reject();
  CHECK(bench.stats.shed.get() == 2);
  CHECK(line.ask(get("/a")).body == content);

  // Once a part of the reply is out it is too late.
  Line slow(bench, 1);
  slow.say(get("/a"));
  REQUIRE(slow.connection().advance(bench.worker) == Want::disk);
  REQUIRE(slow.connection().wait_for_disk(bench.worker) == Want::writable);
  slow.take();
  REQUIRE(slow.connection().transmit(bench.worker) == Want::disk);
  CHECK_FALSE(slow.connection().may_reject());
}

TEST_CASE("a client that goes is noticed in every phase, and why it went is counted") {
  Bench bench;
  bench.write("/large", 500'000);
  Line line(bench, 1);
  SECTION("before it asked") {
    line.hang_up();
    CHECK(line.connection().advance(bench.worker) == Want::close);
    CHECK(bench.stats.closed_by_peer.get() == 1);
  }
  SECTION("within its request") {
    line.say("GET /");
    line.run();
    line.end_sending();
    CHECK(line.run() == Want::close);
    CHECK(bench.stats.closed_by_peer.get() == 1);
    CHECK(line.heard().empty());
  }
  SECTION("while it is sent to") {
    line.say(get("/large"));
    while (line.connection().advance(bench.worker) == Want::disk) {
    }
    line.hang_up();
    CHECK(line.connection().advance(bench.worker) == Want::close);
    CHECK(bench.stats.closed_reset.get() == 1);
  }
  SECTION("with bytes unread: a reset") {
    line.say(get("/large") + "x");
    while (line.connection().advance(bench.worker) == Want::disk) {
    }
    line.hang_up();
    CHECK(line.connection().advance(bench.worker) == Want::close);
    CHECK(bench.stats.closed_reset.get() == 1);
  }
}

TEST_CASE("a file that shrinks while it is sent ends the connection, and the next one is right") {
  const BodyKind kind = GENERATE(BodyKind::automatic, BodyKind::sendfile, BodyKind::mmap, BodyKind::uncached);
  CAPTURE(name_of(kind));
  Bench bench(with_body(kind));
  const std::string content = bench.write("/a", 500'000);
  Line line(bench, 1);
  line.say(get("/a"));
  while (line.connection().advance(bench.worker) == Want::disk) {
  }
  REQUIRE(::truncate((bench.directory.path() / "a").c_str(), 100'000) == 0);
  CHECK(line.run() == Want::close);
  CHECK(bench.stats.closed_file_changed.get() == 1);
  CHECK(bench.stats.closed_error.get() == 0);
  line.end_connection();
  const std::string heard = line.heard();
  const std::size_t body = heard.find("\r\n\r\n") + 4;
  CHECK(content.starts_with(std::string_view(heard).substr(body, 100'000)));
  CHECK(heard.size() - body <= 102'400);  // the rest of a mapping's last page is there, and zero

  Line next(bench);
  const Reply reply = next.ask(get("/a"));
  CHECK(reply.status == 200);
  CHECK(reply.body == content.substr(0, 100'000));
}

TEST_CASE("a connection gives back all it held, whenever it ends") {
  const BodyKind kind = GENERATE(from_range(body_kinds));
  Bench bench(with_body(kind));
  bench.write("/a", 500'000);
  const std::ptrdiff_t before = open_descriptors();
  for (int steps = 0; steps < 6; ++steps) {
    Line line(bench, 1);
    line.say(get("/a") + get("/missing") + "GET");
    for (int i = 0; i < steps; ++i) line.connection().advance(bench.worker);
  }
  bench.worker.cache.evict(1000);
  CHECK(open_descriptors() == before);
}

TEST_CASE("an idle connection owns no memory beside itself") {
  const bool heads = GENERATE(true, false);
  Options options = bench_options();
  options.cache_heads = heads;
  Bench bench(options);
  bench.write("/a", 100'000);
  const auto use = [&](Line& line) {
    const std::string request = get("/a", "X: " + std::string(3000, 'x') + "\r\n");
    line.say(request.substr(0, 2000));
    line.run();
    line.say(request.substr(2000) + get("/missing"));
    REQUIRE(line.run() == Want::readable);
    line.heard().clear();
    line.heard().shrink_to_fit();
  };
  std::vector<std::unique_ptr<Line>> lines;
  for (int i = 0; i < 101; ++i) lines.push_back(std::make_unique<Line>(bench, 1));
  use(*lines.back());  // what is made once, for all
  const auto before = ::mallinfo2().uordblks;
  for (const auto& line : lines) use(*line);
  CHECK(::mallinfo2().uordblks < before + lines.size() * 64);
  CHECK(sizeof(Connection) <= 1024 - 64);
}

TEST_CASE("one too many is told so") {
  Bench bench;
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  REQUIRE(::send(ends[0], "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
  const std::ptrdiff_t before = open_descriptors();
  Connection::refuse(ends[1], bench.worker);
  CHECK(open_descriptors() == before - 1);
  std::string heard(4096, '\0');
  const ssize_t got = ::recv(ends[0], heard.data(), heard.size(), 0);
  REQUIRE(got > 0);
  heard.resize(static_cast<std::size_t>(got));
  const std::optional<Reply> reply = take_reply(heard, false, true);
  REQUIRE(reply);
  CHECK(reply->status == 503);
  CHECK(reply->header("connection") == "close");
  CHECK(::recv(ends[0], heard.data(), heard.capacity(), 0) == 0);  // in order, not by a reset
  CHECK(bench.stats.refused.get() == 1);
  ::close(ends[0]);
}
