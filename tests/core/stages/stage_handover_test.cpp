#include "core/stages/stage_handover.h"

#include <poll.h>

#include <atomic>
#include <barrier>
#include <semaphore>
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
using Pool = TurnPool<std::atomic<int>*>;

std::vector<std::atomic<int>*> items_of(Batch& batch) {
  std::vector<std::atomic<int>*> items;
  for (auto& item : batch) items.push_back(&item);
  return items;
}

constexpr std::size_t most_items = 20'000;

// How many items came back with this turn.
std::size_t run_turn(Pool& pool, const std::vector<std::atomic<int>*>& items) {
  std::vector<std::atomic<int>*> done;
  done.reserve(most_items);
  pool.run(items, done);
  return done.size();
}

std::size_t take_late(Pool& pool) {
  std::vector<std::atomic<int>*> done;
  done.reserve(most_items);
  pool.take_late(done);
  return done.size();
}

// Runs the batch and waits for what comes late, too; how many items came back in all.
std::size_t run_whole(Pool& pool, Batch& batch) {
  std::size_t back = run_turn(pool, items_of(batch));
  while (back < batch.size()) {
    pollfd waiting = {pool.fd(), POLLIN, 0};
    if (::poll(&waiting, 1, 20'000) != 1) break;
    back += take_late(pool);
  }
  return back;
}

// The threads of a pool work for ever, as those of the server do; so the pool stays, too.
template <class Work>
Pool& make_pool(int threads, Work work) {
  static auto& pools = *new std::vector<Pool*>;
  pools.push_back(new Pool(most_items));
  Pool& pool = *pools.back();
  for (int i = 0; i < threads; ++i)
    std::thread([&pool, work] { pool.work([work](std::atomic<int>*& item) { work(item); }); }).detach();
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

TEST_CASE("an outbox hands over when it ends, all at once") {
  StageInbox inbox(100);
  {
    StageOutbox outbox(inbox);
    outbox.add(3);
    outbox.add(70);
    CHECK_FALSE(is_readable(inbox.fd()));
  }
  { const StageOutbox nothing(inbox); }
  DescriptorSet mine(100);
  inbox.take(mine);
  CHECK(members(mine) == std::vector<int>{3, 70});
  CHECK_FALSE(is_readable(inbox.fd()));
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

TEST_CASE("a pool works off each item of a batch once") {
  Pool& pool = make_pool(3, [](std::atomic<int>* item) { ++*item; });
  for (int round = 0; round < 500; ++round) {
    Batch batch(static_cast<std::size_t>(round % 7));
    REQUIRE(run_whole(pool, batch) == batch.size());
    for (const auto& item : batch) REQUIRE(item == 1);
  }
  Batch large(10'000);
  CHECK(run_whole(pool, large) == large.size());
  int sum = 0;
  for (const auto& item : large) sum += item;
  CHECK(sum == 10'000);
}

TEST_CASE("a batch that blocks at every item gets the whole pool") {
  constexpr int threads = 4;
  static std::barrier all_at_once(threads);
  Pool& pool = make_pool(threads, [](std::atomic<int>* item) {
    all_at_once.arrive_and_wait();  // nobody goes on before everybody works
    ++*item;
  });
  for (int round = 0; round < 100; ++round) {
    Batch batch(2 * threads);
    REQUIRE(run_whole(pool, batch) == batch.size());
    for (const auto& item : batch) REQUIRE(item == 1);
  }
}

TEST_CASE("a pool's turn ends while all of its threads but one are blocked, and not when the last is") {
  constexpr int threads = 3;
  static std::atomic<int> blocked = 0;
  static std::binary_semaphore go{0};
  static constexpr int blocks = 1000;
  Pool& pool = make_pool(threads, [](std::atomic<int>* item) {
    if (*item == blocks) {
      ++blocked;
      go.acquire();
    }
    ++*item;
  });
  Batch stuck(threads);
  for (auto& item : stuck) item = blocks;
  for (int i = 0; i < threads - 1; ++i) {
    CHECK(run_turn(pool, {&stuck[static_cast<std::size_t>(i)]}) == 0);
    Batch others(20);
    CHECK(run_whole(pool, others) == others.size());
  }
  while (blocked < threads - 1) std::this_thread::yield();
  // The last thread: a batch of two is stuck behind its first item until somebody is free.
  Batch after(1);
  std::atomic<bool> over = false;
  std::size_t back = 0;
  std::thread stage([&] {
    back = run_turn(pool, {&stuck[threads - 1], &after[0]});
    over = true;
  });
  while (blocked < threads) std::this_thread::yield();
  CHECK_FALSE(over);
  CHECK(after[0] == 0);
  for (int i = 0; i < threads; ++i) go.release();
  stage.join();
  while (back < threads + 1) {
    pollfd waiting = {pool.fd(), POLLIN, 0};
    REQUIRE(::poll(&waiting, 1, 20'000) == 1);
    back += take_late(pool);
  }
  CHECK(back == threads + 1);
  CHECK(after[0] == 1);
}
