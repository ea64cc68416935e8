#include "core/stage_handover.h"

#include <poll.h>

#include <atomic>
#include <barrier>
#include <thread>
#include <vector>

#include "tests/catch.h"

using namespace bakeoff;

namespace {

bool is_readable(int fd) {
  pollfd waiting = {fd, POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

std::vector<int> members(const DescriptorSet& set) {
  std::vector<int> all;
  set.for_each([&](int fd) { all.push_back(fd); });
  return all;
}

using Batch = std::vector<std::atomic<int>>;
using Pool = TurnPool<std::atomic<int>>;

// The threads of a pool work for ever, as those of the server do; so the pool stays, too.
template <class Work>
Pool& make_pool(int threads, Work work) {
  static auto& pools = *new std::vector<Pool*>;
  pools.push_back(new Pool);
  Pool& pool = *pools.back();
  for (int i = 0; i < threads; ++i) std::thread([&pool, work] { pool.work(work); }).detach();
  return pool;
}

}  // namespace

TEST_CASE("what a stage left for the next is taken once, all of it") {
  StageInbox inbox(100);
  DescriptorSet batch(100);
  DescriptorSet mine(100);
  CHECK_FALSE(is_readable(inbox.fd()));
  batch.insert(3);
  batch.insert(70);
  inbox.merge(batch);
  CHECK(members(batch).empty());
  batch.insert(5);
  inbox.merge(batch);
  CHECK(is_readable(inbox.fd()));
  mine.insert(9);
  inbox.take(mine);
  CHECK(members(mine) == std::vector<int>{3, 5, 9, 70});
  CHECK_FALSE(is_readable(inbox.fd()));
  mine.clear();
  inbox.take(mine);
  CHECK(members(mine).empty());
}

TEST_CASE("nothing handed over between threads is lost") {
  constexpr int descriptors = 50;
  constexpr int rounds = 2000;
  StageInbox inbox(descriptors);
  std::thread giver([&] {
    DescriptorSet batch(descriptors);
    for (int round = 0; round < rounds; ++round) {
      batch.insert(round % (descriptors - 1));
      inbox.merge(batch);
    }
    batch.insert(descriptors - 1);
    inbox.merge(batch);
  });
  DescriptorSet seen(descriptors);
  DescriptorSet mine(descriptors);
  bool in_time = true;
  for (bool last = false; !last && in_time;) {
    pollfd waiting = {inbox.fd(), POLLIN, 0};
    in_time = ::poll(&waiting, 1, 20'000) == 1;
    inbox.take(mine);
    mine.for_each([&](int fd) { last = last || fd == descriptors - 1; });
    seen.merge(mine);
    mine.clear();
  }
  giver.join();
  CHECK(in_time);
  CHECK(members(seen).size() == descriptors);
}

TEST_CASE("a pool works off each item of a batch once before its turn ends") {
  Pool& pool = make_pool(3, [](std::atomic<int>& item) { ++item; });
  for (int round = 0; round < 500; ++round) {
    Batch batch(static_cast<std::size_t>(round % 7));
    pool.run(batch);
    for (const auto& item : batch) REQUIRE(item == 1);
  }
  Batch large(10'000);
  pool.run(large);
  int sum = 0;
  for (const auto& item : large) sum += item;
  CHECK(sum == 10'000);
}

TEST_CASE("a batch that blocks at every item gets the whole pool") {
  constexpr int threads = 4;
  static std::barrier all_at_once(threads);
  Pool& pool = make_pool(threads, [](std::atomic<int>& item) {
    all_at_once.arrive_and_wait();  // nobody goes on before everybody works
    ++item;
  });
  for (int round = 0; round < 100; ++round) {
    Batch batch(2 * threads);
    pool.run(batch);
    for (const auto& item : batch) REQUIRE(item == 1);
  }
}
