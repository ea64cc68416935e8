#include "core/files/shared_cache.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/core/files/cached_bytes.h"
#include "tests/core/processes.h"
#include "tests/core/server_bench.h"

using namespace bakeoff;
using namespace bakeoff::test;

namespace {

// A cache that processes share, and the connections' descriptors that pins belong to.
struct House {
  explicit House(BodyKind kind = BodyKind::automatic, std::uint64_t cache_bytes = 1 << 20, int entries = 16)
      : bench(
            [&] {
              Options options = bench_options();
              options.workers = workers;
              options.body = kind;
              options.cache_bytes = cache_bytes;
              options.cache_entries = entries;
              return options;
            }(),
            Sharing::processes) {
    ProcessLock::register_process();
    descriptors().adopt_open_descriptors();
  }

  static constexpr int workers = 4;

  SharedDescriptorTable& descriptors() { return bench.server.shared_descriptors(); }
  FileCache& cache() { return *bench.server.shared_cache(); }
  SharedCacheMemory& memory() { return bench.server.shared_cache_memory(); }

  template <class Body>
  Process worker(int number, Body body) {
    return Process([&] {
      ProcessLock::register_process();
      descriptors().i_am(number);
      return body();
    });
  }

  // A worker dies with the lock in its hands, and what it held is given back.
  void die_holding_the_lock() {
    const Shared<std::atomic<int>> held;
    Process dead = worker(1, [&] {
      memory().lock().lock();
      held->store(1);
      wait_to_be_killed();
      return 0;
    });
    spin_until([&] { return held->load() == 1; });
    dead.kill_and_reap();
    descriptors().give_back(1, cache());
  }

  void bury(int number) { descriptors().give_back(number, cache()); }
  bool tidy() {
    const bool swept = descriptors().sweep_strays();
    const bool retired = memory().tidy();
    return swept && retired;
  }

  Bench bench;
};

// A connection of whichever process makes it; nobody closes its descriptor but itself.
struct Guest {
  explicit Guest(House& its_house) : house(its_house), fd(::eventfd(0, EFD_CLOEXEC)) {
    house.descriptors().note_cached(fd, 0);
  }
  ~Guest() {
    if (slot().file != nullptr) house.cache().unpin(slot());
    house.descriptors().close(fd);
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  PinSlot& slot() { return house.descriptors().pin_of(fd); }
  bool find(std::string_view name) { return house.cache().find(name, 0, slot()); }
  int load(std::string_view name) { return house.cache().load(name, 0, slot()); }
  std::string bytes() { return bytes_of(*slot().file); }
  void leave() { house.cache().unpin(slot()); }

  House& house;
  int fd;
};

bool is_cached(House& house, std::string_view name) {
  Guest guest(house);
  return guest.find(name);
}

}  // namespace

TEST_CASE("what one process has loaded all others find") {
  const BodyKind kind = GENERATE(BodyKind::automatic, BodyKind::sendfile, BodyKind::buffer);
  const std::size_t size = GENERATE(0, 500, 50'000);
  CAPTURE(name_of(kind), size);
  House house(kind);
  const std::string content = house.bench.write("/a.html", size);
  Process loader = house.worker(1, [&] {
    Guest guest(house);
    return guest.load("/a.html") == 200 && guest.bytes() == content ? 0 : 1;
  });
  CHECK(loader.wait() == 0);
  Process finder = house.worker(2, [&] {
    Guest guest(house);
    return guest.find("/a.html") && guest.bytes() == content ? 0 : 1;
  });
  CHECK(finder.wait() == 0);
  Guest here(house);
  REQUIRE(here.find("/a.html"));
  CHECK(here.bytes() == content);
  CHECK(here.slot().file->name == std::string_view("/a.html"));
  CHECK(house.memory().is_shared(here.slot().file));
}

TEST_CASE("a table whose lock-holder died is discarded, and its pins hold") {
  const BodyKind kind = GENERATE(BodyKind::sendfile, BodyKind::buffer);
  CAPTURE(name_of(kind));
  House house(kind);
  const std::string a = house.bench.write("/a", 5000);
  const std::string b = house.bench.write("/b", 6000);
  const std::ptrdiff_t before = open_descriptors();
  {
    Guest sends_a(house);
    REQUIRE(sends_a.load("/a") == 200);
    {
      Guest guest(house);
      REQUIRE(guest.load("/b") == 200);
    }
    house.die_holding_the_lock();
    CHECK_FALSE(is_cached(house, "/a"));
    CHECK_FALSE(is_cached(house, "/b"));
    CHECK(sends_a.bytes() == a);
    // The old descriptor of /b is closed at once, that of /a with its last pin.
    if (kind == BodyKind::sendfile) CHECK(open_descriptors() == before + 2);

    Guest again(house);
    REQUIRE(again.load("/a") == 200);
    CHECK(again.slot().file != sends_a.slot().file);
    CHECK(again.bytes() == a);
    CHECK(sends_a.bytes() == a);
    CHECK(is_cached(house, "/a"));
    Guest other(house);
    REQUIRE(other.load("/b") == 200);
    CHECK(other.bytes() == b);

    CHECK_FALSE(house.tidy());  // /a is still sent from the old table
    sends_a.leave();
    CHECK(house.tidy());
    CHECK(again.bytes() == a);
    CHECK(other.bytes() == b);
  }
  house.cache().evict(100);
  CHECK(open_descriptors() == before);
}

TEST_CASE("an invalidated entry of a discarded table harms no other") {
  House house;
  house.bench.write("/a", 5000);
  Guest old(house);
  REQUIRE(old.load("/a") == 200);
  house.die_holding_the_lock();
  Guest fresh(house);
  REQUIRE(fresh.load("/a") == 200);
  house.cache().invalidate(old.slot());
  CHECK(is_cached(house, "/a"));
}

TEST_CASE("memory of discarded tables is used again, as often as workers die") {
  House house(BodyKind::buffer);
  const std::string content = house.bench.write("/a", 100'000);
  for (int round = 0; round < 20; ++round) {
    Guest guest(house);
    REQUIRE(guest.load("/a") == 200);
    REQUIRE(house.memory().is_shared(guest.slot().file));  // there is always a table
    REQUIRE(guest.bytes() == content);
    house.die_holding_the_lock();
    REQUIRE(guest.bytes() == content);
  }
  CHECK(house.tidy());
}

TEST_CASE("with no memory left for a table, files are served without being kept") {
  House house;
  const std::string content = house.bench.write("/a", 5000);
  const std::string small = house.bench.write("/small", 500);
  const std::ptrdiff_t before = open_descriptors();
  {
    std::vector<std::unique_ptr<Guest>> slow;
    for (int generation = 0; generation < 4; ++generation) {
      slow.push_back(std::make_unique<Guest>(house));
      REQUIRE(slow.back()->load("/a") == 200);
      REQUIRE(house.memory().is_shared(slow.back()->slot().file));
      house.die_holding_the_lock();
    }
    for (int round = 0; round < 2; ++round) {
      Guest guest(house);
      CHECK_FALSE(guest.find("/a"));
      REQUIRE(guest.load("/a") == 200);
      CHECK_FALSE(house.memory().is_shared(guest.slot().file));
      CHECK(guest.bytes() == content);
      Guest second(house);
      REQUIRE(second.load("/small") == 200);
      CHECK(second.bytes() == small);
      house.cache().invalidate(guest.slot());
      house.cache().evict(10);
    }
    house.die_holding_the_lock();  // once more, without a table
    CHECK_FALSE(house.tidy());
    for (const auto& guest : slow) CHECK(guest->bytes() == content);
    slow[2]->leave();
    CHECK_FALSE(house.tidy());
    Guest guest(house);
    REQUIRE(guest.load("/a") == 200);
    CHECK(house.memory().is_shared(guest.slot().file));
    CHECK(slow[0]->bytes() == content);
    CHECK(slow[3]->bytes() == content);
  }
  CHECK(house.tidy());
  CHECK(is_cached(house, "/a"));
  house.cache().evict(100);
  CHECK(open_descriptors() == before);
}

TEST_CASE("when pinned files fill the memory, more are served without being kept") {
  House house(BodyKind::buffer, 1 << 20, 64);
  std::vector<std::string> contents;
  for (int i = 0; i < 60; ++i) contents.push_back(house.bench.write("/" + std::to_string(i), 64 * 1024));
  bool all_kept = true;
  {
    std::vector<std::unique_ptr<Guest>> guests;
    for (int i = 0; i < 60; ++i) {
      guests.push_back(std::make_unique<Guest>(house));
      REQUIRE(guests.back()->load("/" + std::to_string(i)) == 200);
      all_kept = all_kept && house.memory().is_shared(guests.back()->slot().file);
    }
    for (std::size_t i = 0; i < 60; ++i) CHECK(guests[i]->bytes() == contents[i]);
  }
  CHECK_FALSE(all_kept);  // else nothing was full
  Guest guest(house);
  REQUIRE(guest.load("/0") == 200);
  CHECK(house.memory().is_shared(guest.slot().file));
}

TEST_CASE("workers killed at any moment leave the living with the right bytes, and nothing behind") {
  const BodyKind kind = GENERATE(BodyKind::automatic, BodyKind::uncached);
  CAPTURE(name_of(kind));
  House house(kind, 40'000, 6);
  constexpr std::size_t files = 10;
  std::vector<std::string> names;
  std::vector<std::string> contents;
  for (std::size_t i = 0; i < files; ++i) {
    names.push_back("/file" + std::to_string(i));
    contents.push_back(house.bench.write(names.back(), 300 + 250 * i));  // some kept as contents, some as descriptors
  }
  struct Board {
    std::atomic<int> wrong{0};
    std::array<std::atomic<long>, House::workers> turns{};
  };
  const Shared<Board> board;
  const std::ptrdiff_t before = open_descriptors();

  const auto serve = [&](int number) {
    return house.worker(number, [&, number] {
      unsigned state = static_cast<unsigned>(number) * 7919 +
                       static_cast<unsigned>(board->turns[static_cast<std::size_t>(number - 1)]);
      const auto open_connection = [&] {
        const DescriptorTable::Window window(house.descriptors());
        // A socket, as in a server: the table tells one from the next that bears its number.
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        house.descriptors().note(fd);
        return fd;
      };
      for (;;) {
        const int fd = open_connection();
        for (int request = 0; request < 5; ++request) {
          state = state * 1664525 + 1013904223;
          const std::size_t i = (state >> 16) % files;
          PinSlot& slot = house.descriptors().pin_of(fd);
          if (!house.cache().find(names[i], 0, slot) && house.cache().load(names[i], 0, slot) != 200) {
            ++board->wrong;
            continue;
          }
          if (bytes_of(*slot.file) != contents[i]) ++board->wrong;
          if (state % 37 == 0) house.cache().invalidate(slot);
          house.cache().unpin(slot);
        }
        house.bench.server.close_connection(fd);
        ++board->turns[static_cast<std::size_t>(number - 1)];
      }
      return 0;
    });
  };
  std::vector<Process> workers;
  for (int number = 1; number <= House::workers; ++number) workers.push_back(serve(number));
  const int rounds = BAKEOFF_TEST_SANITIZED ? 30 : 100;
  for (int round = 0; round < rounds; ++round) {
    const std::size_t victim = static_cast<std::size_t>(round) % workers.size();
    const std::size_t other = (victim + 1) % workers.size();
    const long turns = board->turns[other];
    spin_until([&] { return board->turns[other] > turns; });  // whatever was killed before, the others go on
    workers[victim].kill_and_reap();
    house.bury(static_cast<int>(victim) + 1);
    house.tidy();
    workers[victim] = serve(static_cast<int>(victim) + 1);
  }
  for (std::size_t i = 0; i < workers.size(); ++i) {
    workers[i].kill_and_reap();
    house.bury(static_cast<int>(i) + 1);
  }
  CHECK(house.tidy());
  CHECK(board->wrong == 0);
  house.cache().evict(1000);
  CHECK(open_descriptors() == before);
}
