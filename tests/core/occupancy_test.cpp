#include "core/occupancy.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>

#include "tests/catch.h"
#include "tests/core/processes.h"

namespace bakeoff {
namespace {

// A connection, and its client.
class Guest {
 public:
  explicit Guest(Occupancy& occupancy) : occupancy_(occupancy) {
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()) == 0);
    occupancy_.entered();
    occupancy_.idle_begins(fd());
  }
  ~Guest() {
    occupancy_.left(fd());
    for (const int end : ends_) ::close(end);
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  int fd() const { return ends_[0]; }
  void send() const { REQUIRE(::send(ends_[1], "x", 1, 0) == 1); }
  // A byte; 0 at the end of input; -1: neither.
  ssize_t receive() const {
    char byte;
    return ::recv(fd(), &byte, 1, MSG_DONTWAIT);
  }

 private:
  Occupancy& occupancy_;
  std::array<int, 2> ends_{};
};

Occupancy::Settings settings(int connections, int processes = 1) {
  return {.connections = connections, .most_processes = processes, .descriptors = 1024, .closes_idle = true};
}

}  // namespace

TEST_CASE("who has been idle longest is told to end first", "[occupancy]") {
  Occupancy occupancy(settings(3));
  Guest first(occupancy), second(occupancy), third(occupancy);
  CHECK(occupancy.open() == 3);
  occupancy.idle_ends(first.fd());
  occupancy.idle_begins(first.fd());
  CHECK(occupancy.can_make_room(false));
  for (const Guest* next : {&second, &third, &first}) {
    REQUIRE(next->receive() == -1);
    CHECK(occupancy.end_longest_idle());
    CHECK(next->receive() == 0);
    CHECK(occupancy.idle_ends(next->fd()));
  }
  CHECK_FALSE(occupancy.end_longest_idle());
  CHECK_FALSE(occupancy.can_make_room(false));
}

TEST_CASE("who waits for room goes on when a connection ends", "[occupancy]") {
  Occupancy occupancy(settings(2));
  occupancy.wait_below(1);
  const Guest first(occupancy);
  auto second = std::make_unique<Guest>(occupancy);
  std::thread waiting([&] { occupancy.wait_below(2); });
  second.reset();
  waiting.join();
  CHECK(occupancy.open() == 1);
}

TEST_CASE("who is busy is not told to end", "[occupancy]") {
  Occupancy occupancy(settings(2));
  Guest busy(occupancy), idle(occupancy);
  CHECK_FALSE(occupancy.idle_ends(busy.fd()));
  CHECK(occupancy.end_longest_idle());
  CHECK(idle.receive() == 0);
  CHECK_FALSE(occupancy.end_longest_idle());
  CHECK(busy.receive() == -1);
}

TEST_CASE("a request that came just before is received, and then the end", "[occupancy]") {
  Occupancy occupancy(settings(1));
  const Guest guest(occupancy);
  guest.send();
  CHECK(occupancy.end_longest_idle());
  CHECK(guest.receive() == 1);
  CHECK(occupancy.idle_ends(guest.fd()));
  CHECK(guest.receive() == 0);
}

TEST_CASE("who waits in calls makes room for as many as wait and no more", "[occupancy]") {
  Occupancy occupancy(settings(3));
  auto first = std::make_unique<Guest>(occupancy);
  const Guest second(occupancy);
  occupancy.make_room([] { return 1; }, false);  // there is room for one
  CHECK(first->receive() == -1);
  const Guest third(occupancy);
  occupancy.make_room([] { return 0; }, false);
  CHECK(first->receive() == -1);
  occupancy.make_room([] { return 1; }, false);
  CHECK(first->receive() == 0);
  occupancy.make_room([] { return 1; }, false);  // the first is on its way
  CHECK(second.receive() == -1);
  first.reset();
  occupancy.make_room([] { return 1; }, false);  // and has made room
  CHECK(second.receive() == -1);
  occupancy.make_room([] { return 2; }, false);
  CHECK(second.receive() == 0);
  CHECK(third.receive() == -1);
}

TEST_CASE("of several processes those make room that have the longest idle", "[occupancy]") {
  Occupancy occupancy(settings(2, 2));
  test::Shared<std::atomic<bool>> is_there;
  const test::Process other([&] {
    occupancy.begin_process(1);
    const Guest older(occupancy);
    is_there->store(true);
    test::wait_to_be_killed();
    return 0;
  });
  test::spin_until([&] { return is_there->load(); });
  const Guest younger(occupancy);
  CHECK(occupancy.open() == 1);
  CHECK(occupancy.can_make_room(false));
  occupancy.make_room([] { return 1; }, false);  // the other's business
  CHECK(younger.receive() == -1);
  occupancy.make_room([] { return 2; }, false);
  CHECK(younger.receive() == 0);
}

TEST_CASE("while another process has room nobody makes some, unless clients wait at this one alone", "[occupancy]") {
  Occupancy occupancy(settings(2, 2));
  occupancy.begin_process(1);
  const Guest guest(occupancy);
  CHECK_FALSE(occupancy.can_make_room(false));
  CHECK(occupancy.can_make_room(true));
  occupancy.make_room([] { return 1; }, false);
  CHECK(guest.receive() == -1);
  occupancy.make_room([] { return 1; }, true);
  CHECK(guest.receive() == 0);
}

TEST_CASE("without the option nobody is told anything", "[occupancy]") {
  Occupancy occupancy({.connections = 1, .most_processes = 1, .descriptors = 1024, .closes_idle = false});
  const Guest guest(occupancy);
  CHECK_FALSE(occupancy.can_make_room(true));
  occupancy.make_room([] { return 1; }, true);
  CHECK(guest.receive() == -1);
}

}  // namespace bakeoff
