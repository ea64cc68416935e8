#include "core/events/poller.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.h"

using bakeoff::EventMechanism;
using bakeoff::Interest;
using bakeoff::make_poller;
using bakeoff::name_of;
using bakeoff::Poller;
using bakeoff::Ready;

namespace {

constexpr int descriptors = 1024;
constexpr int at_most_ms = 10'000;  // for what must come by itself: a failure, not a pace

struct Pair {
  int near = -1;
  int far = -1;
  Pair() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    near = ends[0];
    far = ends[1];
  }
  Pair(Pair&& other) noexcept : near(std::exchange(other.near, -1)), far(std::exchange(other.far, -1)) {}
  Pair& operator=(Pair&&) = delete;
  ~Pair() {
    close_near();
    close_far();
  }
  void close_near() {
    if (near >= 0) ::close(std::exchange(near, -1));
  }
  void close_far() {
    if (far >= 0) ::close(std::exchange(far, -1));
  }
  void send_to_near() const { REQUIRE(::send(far, "x", 1, 0) == 1); }
  void drain_near() const {
    std::array<char, 4096> bytes;
    while (::recv(near, bytes.data(), bytes.size(), 0) > 0) {
    }
  }
  void fill_near() const {
    const std::array<char, 4096> bytes{};
    while (::send(near, bytes.data(), bytes.size(), 0) > 0) {
    }
  }
};

// What a wait reports, in the order of descriptors: "5r 6rw".
std::string report(std::span<const Ready> ready) {
  std::vector<Ready> sorted(ready.begin(), ready.end());
  std::sort(sorted.begin(), sorted.end(), [](const Ready& a, const Ready& b) { return a.fd < b.fd; });
  std::string text;
  for (const Ready& each : sorted) {
    if (!text.empty()) text += ' ';
    text += std::to_string(each.fd) + (each.readable ? "r" : "") + (each.writable ? "w" : "");
  }
  return text;
}

std::string named(int fd, const char* flags) { return std::to_string(fd) + flags; }

EventMechanism each_mechanism() {
  return GENERATE(EventMechanism::epoll, EventMechanism::poll, EventMechanism::select);
}

// Whether `act` ends its process by tripping a check.
bool trips_check(const std::function<void()>& act) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
    std::signal(SIGABRT, SIG_DFL);
    act();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace

TEST_CASE("what a wait found stays readable while its reader changes what is watched") {
  const EventMechanism mechanism = GENERATE(EventMechanism::select, EventMechanism::poll, EventMechanism::epoll);
  CAPTURE(name_of(mechanism));
  const std::unique_ptr<Poller> poller = make_poller(mechanism, descriptors);
  std::vector<Pair> pairs(20);
  for (const Pair& pair : pairs) {
    pair.send_to_near();
    poller->watch(pair.near, Interest::read);
  }
  const std::span<const Ready> found = poller->wait(at_most_ms);
  REQUIRE(found.size() == pairs.size());
  const std::string before = report(found);
  std::vector<Pair> more(100);
  for (const Pair& pair : more) poller->watch(pair.near, Interest::read_write);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    switch (i % 4) {
      case 0: poller->watch(pairs[i].near, Interest::none); break;
      case 1: poller->watch(pairs[i].near, Interest::write); break;
      case 2: poller->forget(pairs[i].near); break;
      case 3:
        poller->closing(pairs[i].near);
        pairs[i].close_near();
        break;
    }
    CHECK(report(found) == before);
  }
}

TEST_CASE("event mechanisms have the names people type", "[poller]") {
  CHECK(name_of(EventMechanism::epoll) == "epoll");
  CHECK(name_of(EventMechanism::poll) == "poll");
  CHECK(name_of(EventMechanism::select) == "select");
}

TEST_CASE("readiness is reported for what is waited for, as long as it lasts", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  INFO(name_of(mechanism));
  const auto poller = make_poller(mechanism, descriptors);
  Pair pair;
  const int fd = pair.near;

  poller->watch(fd, Interest::read);
  CHECK(poller->wait(0).empty());
  CHECK(poller->wait(1).empty());
  pair.send_to_near();
  CHECK(report(poller->wait(at_most_ms)) == named(fd, "r"));
  CHECK(report(poller->wait(-1)) == named(fd, "r"));  // level-triggered
  poller->watch(fd, Interest::read_write);
  CHECK(report(poller->wait(at_most_ms)) == named(fd, "rw"));
  poller->watch(fd, Interest::write);
  CHECK(report(poller->wait(at_most_ms)) == named(fd, "w"));
  pair.drain_near();
  poller->watch(fd, Interest::read_write);
  CHECK(report(poller->wait(at_most_ms)) == named(fd, "w"));
  pair.fill_near();
  CHECK(poller->wait(0).empty());
  poller->watch(fd, Interest::read);
  CHECK(poller->wait(0).empty());
}

TEST_CASE("with no interest, or forgotten, nothing is reported, no hang-up either", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  INFO(name_of(mechanism));
  const auto poller = make_poller(mechanism, descriptors);
  Pair paused;
  Pair forgotten;
  poller->watch(paused.near, Interest::read);
  poller->watch(forgotten.near, Interest::read_write);
  CHECK(poller->watched() == 2);
  paused.send_to_near();
  poller->watch(paused.near, Interest::none);
  poller->forget(forgotten.near);
  CHECK(poller->watched() == 0);
  CHECK(poller->wait(0).empty());
  CHECK(poller->wait(0).empty());
  forgotten.close_far();
  paused.close_far();
  CHECK(poller->wait(0).empty());
  CHECK(poller->wait(0).empty());

  poller->forget(forgotten.near);  // again: does nothing
  CHECK(poller->watched() == 0);
  poller->watch(paused.near, Interest::read);
  CHECK(poller->watched() == 1);
  CHECK(report(poller->wait(at_most_ms)) == named(paused.near, "r"));
  poller->watch(forgotten.near, Interest::write);
  CHECK(poller->watched() == 2);
  CHECK(report(poller->wait(at_most_ms)) ==
        report(std::array<Ready, 2>{Ready{paused.near, true, false}, Ready{forgotten.near, false, true}}));
}

TEST_CASE("a paused descriptor may come back with another interest or the same", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  const Interest later = GENERATE(Interest::read, Interest::write);
  const bool event_while_paused = GENERATE(false, true);
  INFO(name_of(mechanism));
  const auto poller = make_poller(mechanism, descriptors);
  Pair pair;
  poller->watch(pair.near, Interest::read);
  pair.send_to_near();
  poller->watch(pair.near, Interest::none);
  poller->watch(pair.near, Interest::none);
  if (event_while_paused) CHECK(poller->wait(0).empty());
  poller->watch(pair.near, later);
  CHECK(report(poller->wait(at_most_ms)) == named(pair.near, later == Interest::read ? "r" : "w"));
}

TEST_CASE("an error or hang-up sets all that is waited for", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  INFO(name_of(mechanism));
  const auto poller = make_poller(mechanism, descriptors);

  SECTION("the peer closes") {
    Pair pair;
    pair.fill_near();
    poller->watch(pair.near, Interest::read_write);
    CHECK(poller->wait(0).empty());
    pair.close_far();
    CHECK(report(poller->wait(at_most_ms)) == named(pair.near, "rw"));
    poller->watch(pair.near, Interest::read);
    CHECK(report(poller->wait(at_most_ms)) == named(pair.near, "r"));
    poller->watch(pair.near, Interest::write);
    CHECK(report(poller->wait(at_most_ms)) == named(pair.near, "w"));
  }
  SECTION("the reader of a full pipe closes") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) == 0);
    const std::array<char, 4096> bytes{};
    while (::write(ends[1], bytes.data(), bytes.size()) > 0) {
    }
    poller->watch(ends[1], Interest::write);
    CHECK(poller->wait(0).empty());
    ::close(ends[0]);
    CHECK(report(poller->wait(at_most_ms)) == named(ends[1], "w"));
    poller->closing(ends[1]);
    ::close(ends[1]);
  }
  SECTION("a connection is reset") {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    sockaddr* const generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener, generic, length) == 0);
    REQUIRE(::listen(listener, 1) == 0);
    REQUIRE(::getsockname(listener, generic, &length) == 0);
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::connect(client, generic, length) == 0);
    const int server = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    REQUIRE(server >= 0);
    const linger reset{1, 0};
    REQUIRE(::setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    const Interest interest = GENERATE(Interest::read, Interest::write, Interest::read_write);
    ::close(client);
    poller->watch(server, interest);
    const char* const flags = interest == Interest::read ? "r" : interest == Interest::write ? "w" : "rw";
    CHECK(report(poller->wait(at_most_ms)) == named(server, flags));
    poller->closing(server);
    ::close(server);
    ::close(listener);
  }
}

TEST_CASE("a closed descriptor's number can be used again", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  INFO(name_of(mechanism));
  const auto poller = make_poller(mechanism, descriptors);
  for (int round = 0; round < 3; ++round) {
    Pair pair;
    poller->watch(pair.near, Interest::read);
    CHECK(poller->wait(0).empty());
    pair.send_to_near();
    CHECK(report(poller->wait(at_most_ms)) == named(pair.near, "r"));
    poller->closing(pair.near);
    CHECK(poller->watched() == 0);
    pair.close_near();
    CHECK(poller->wait(0).empty());
  }
}

TEST_CASE("a descriptor that another process still holds after its close is not reported", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  INFO(name_of(mechanism));
  const auto poller = make_poller(mechanism, descriptors);
  Pair pair;
  poller->watch(pair.near, Interest::read);
  const int held = ::dup(pair.near);  // as a child has it between fork and closing
  REQUIRE(held >= 0);
  pair.send_to_near();
  poller->closing(pair.near);
  pair.close_near();
  CHECK(poller->wait(0).empty());
  ::close(held);
  CHECK(poller->wait(0).empty());
}

TEST_CASE("of many descriptors exactly the ready ones are reported", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  INFO(name_of(mechanism));
  const auto poller = make_poller(mechanism, descriptors);
  std::mt19937 random(3);
  std::vector<Pair> pairs(200);
  std::set<int> watched;
  std::set<int> has_data;
  for (int step = 0; step < 3000; ++step) {
    const Pair& pair = pairs[random() % pairs.size()];
    switch (random() % 6) {
      case 0:
      case 1:
        poller->watch(pair.near, Interest::read);
        watched.insert(pair.near);
        break;
      case 2:
        if (random() % 2 == 0)
          poller->forget(pair.near);
        else
          poller->watch(pair.near, Interest::none);
        watched.erase(pair.near);
        break;
      case 3:
      case 4:
        if (!has_data.contains(pair.near)) pair.send_to_near();
        has_data.insert(pair.near);
        break;
      default: pair.drain_near(); has_data.erase(pair.near);
    }
    REQUIRE(poller->watched() == watched.size());
    if (step % 10 != 0) continue;
    std::set<int> expected;
    std::set_intersection(watched.begin(), watched.end(), has_data.begin(), has_data.end(),
                          std::inserter(expected, expected.end()));
    std::set<int> found;
    for (const Ready& ready : poller->wait(0)) {
      REQUIRE(ready.readable);
      REQUIRE_FALSE(ready.writable);
      REQUIRE(found.insert(ready.fd).second);
    }
    REQUIRE(found == expected);
  }
}

TEST_CASE("descriptor numbers far above 1024 work", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  INFO(name_of(mechanism));
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur < 20'000) {
    rlimit raised = limit;
    raised.rlim_cur = std::min<rlim_t>(limit.rlim_max, 30'000);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &raised) == 0);
    limit = raised;
  }
  if (limit.rlim_cur <= 2048) {
    WARN("the limit on open files is too low for this test");
    return;
  }
  const int bound = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 30'000));
  const auto poller = make_poller(mechanism, bound);
  Pair low;
  Pair high;
  const int top = ::dup2(high.near, bound - 1);
  REQUIRE(top == bound - 1);
  poller->watch(low.near, Interest::read);
  poller->watch(top, Interest::read);
  CHECK(poller->wait(0).empty());
  high.send_to_near();
  CHECK(report(poller->wait(at_most_ms)) == named(top, "r"));
  low.send_to_near();
  CHECK(poller->wait(at_most_ms).size() == 2);
  poller->watch(top, Interest::read_write);
  CHECK(poller->wait(at_most_ms).size() == 2);
  poller->forget(top);
  ::close(top);
  CHECK(report(poller->wait(at_most_ms)) == named(low.near, "r"));
  poller->watch(high.near, Interest::read);
  CHECK(poller->wait(at_most_ms).size() == 2);
}

TEST_CASE("a signal ends the wait early with an empty result", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  INFO(name_of(mechanism));
  const auto poller = make_poller(mechanism, descriptors);
  Pair pair;
  poller->watch(pair.near, Interest::read);

  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  REQUIRE(::sigaction(SIGALRM, &action, &before) == 0);
  const itimerval often{{0, 2000}, {0, 2000}};  // again and again: the first may come before the wait begins
  REQUIRE(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
  CHECK(poller->wait(-1).empty());
  const itimerval off{};
  ::setitimer(ITIMER_REAL, &off, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
}

TEST_CASE("waiting for a descriptor that was closed unnoticed is a bug, not a busy loop", "[poller]") {
  const EventMechanism mechanism = GENERATE(EventMechanism::poll, EventMechanism::select);
  INFO(name_of(mechanism));
  CHECK(trips_check([mechanism] {
    const auto poller = make_poller(mechanism, descriptors);
    const int fd = ::dup(STDIN_FILENO);
    poller->watch(fd, Interest::read);
    ::close(fd);
    poller->wait(0);
  }));
}

TEST_CASE("a descriptor number beyond the bound is a bug", "[poller]") {
  const EventMechanism mechanism = each_mechanism();
  INFO(name_of(mechanism));
  CHECK(trips_check([mechanism] { make_poller(mechanism, 64)->watch(64, Interest::read); }));
  CHECK(trips_check([mechanism] { make_poller(mechanism, 64)->watch(-1, Interest::read); }));
}

TEST_CASE("only epoll has a descriptor of its own, which no executed program inherits", "[poller]") {
  CHECK(make_poller(EventMechanism::poll, descriptors)->descriptor() == -1);
  CHECK(make_poller(EventMechanism::select, descriptors)->descriptor() == -1);
  const auto poller = make_poller(EventMechanism::epoll, descriptors);
  CHECK(::fcntl(poller->descriptor(), F_GETFD) == FD_CLOEXEC);
}

TEST_CASE("what has no interest wakes epoll at most once", "[poller]") {
  const auto poller = make_poller(EventMechanism::epoll, descriptors);
  Pair pair;
  poller->watch(pair.near, Interest::read);
  poller->watch(pair.near, Interest::none);
  pair.close_far();
  CHECK(poller->wait(at_most_ms).empty());
  pollfd mechanism{poller->descriptor(), POLLIN, 0};
  CHECK(::poll(&mechanism, 1, 0) == 0);
}

TEST_CASE("epoll is called for a change alone", "[poller]") {
  const auto poller = make_poller(EventMechanism::epoll, descriptors);
  Pair pair;
  const int fd = pair.near;
  poller->watch(fd, Interest::read);
  pair.close_near();
  // A system call with the closed number would fail, and trip the check.
  poller->watch(fd, Interest::read);
  poller->watch(fd, Interest::none);
  poller->watch(fd, Interest::read);
  poller->closing(fd);
  CHECK(poller->watched() == 0);
  CHECK(trips_check([&] { poller->watch(fd, Interest::read); }));
}
