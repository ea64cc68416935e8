#include "core/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/core/server_bench.h"

using namespace bakeoff;
using namespace bakeoff::test;

namespace {

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

}  // namespace

TEST_CASE("a worker's number has its counters, whoever holds it") {
  Bench bench;
  const auto first = bench.server.make_worker(1);
  first->stats.requests.add(3);
  const auto successor = bench.server.make_worker(1);
  successor->stats.requests.add(4);
  CHECK(first->stats.requests.get() == 7);
  CHECK(bench.server.make_worker(0)->stats.requests.get() == 0);
  bench.server.make_worker(Server::most_workers - 1)->stats.requests.add();
  CHECK_THROWS_AS(bench.server.make_worker(Server::most_workers), StartError);
  CHECK_THROWS_AS(bench.server.make_worker(-1), StartError);
}

TEST_CASE("workers share a cache and a listening socket, or nothing") {
  Options options = bench_options();
  options.workers = 2;
  SECTION("a cache, where threads share it") {
    Bench bench(options, Sharing::threads);
    CHECK(&bench.server.make_worker(0)->cache == &bench.server.make_worker(1)->cache);
  }
  SECTION("nothing") {
    options.reuseport = true;
    Bench bench(options);
    bench.write("/a", 10);
    const auto one = bench.server.make_worker(0);
    const auto other = bench.server.make_worker(1);
    CHECK(one->listener.fd() != other->listener.fd());
    CHECK(one->listener.port() == other->listener.port());
    PinSlot slot;
    REQUIRE(one->cache.load("/a", 0, slot) == 200);
    one->cache.unpin(slot);
    CHECK_FALSE(other->cache.find("/a", 0, slot));
    REQUIRE(one->cache.find("/a", 0, slot));
    one->cache.unpin(slot);
  }
}

TEST_CASE("a server counts whom it accepts, and closes cached files when descriptors run out") {
  Bench bench;
  bench.write("/large", 5000);  // kept as an open descriptor
  PinSlot slot;
  REQUIRE(bench.worker.cache.load("/large", 0, slot) == 200);
  bench.worker.cache.unpin(slot);
  CHECK(bench.server.accept(bench.worker).outcome == Listener::Outcome::none);
  CHECK(bench.stats.accepts_empty.get() == 1);

  const int client = connect_to(bench.worker.listener.port());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  const std::ptrdiff_t descriptors = open_descriptors();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const Listener::Outcome exhausted = bench.server.accept(bench.worker).outcome;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(exhausted == Listener::Outcome::exhausted);
  CHECK(bench.stats.accepts_failed.get() == 1);
  CHECK(open_descriptors() == descriptors - 1);

  const auto [outcome, fd] = bench.server.accept(bench.worker);
  REQUIRE(outcome == Listener::Outcome::accepted);
  CHECK(bench.stats.accepts.get() == 1);
  bench.server.close_connection(fd);
  char byte;
  CHECK(::recv(client, &byte, 1, 0) == 0);
  ::close(client);
}

TEST_CASE("being asked to end makes a descriptor readable, and kills nobody") {
  Bench bench;
  pollfd waiting = {bench.server.stop_fd(), POLLIN, 0};
  CHECK(::poll(&waiting, 1, 0) == 0);
  ::raise(SIGTERM);
  CHECK(::poll(&waiting, 1, 0) == 1);
  sigset_t stop;  // taken back, so that it does not arrive after the test
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  int taken = 0;
  REQUIRE(::sigwait(&stop, &taken) == 0);
  CHECK(taken == SIGTERM);
}

TEST_CASE("the coarse clock does not go back, and knows the date") {
  SystemClock clock;
  const std::int64_t before_ms = clock.now_ms();
  clock.refresh();
  CHECK(clock.now_ms() >= before_ms);
  CHECK(std::abs(clock.unix_s() - std::time(nullptr)) <= 2);
}
