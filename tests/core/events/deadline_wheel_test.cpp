#include "core/events/deadline_wheel.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "tests/catch.h"

using bakeoff::DeadlineWheel;

namespace {

constexpr std::int64_t start_ms = 987'654'321;  // a clock does not begin at 0

std::vector<int> expire(DeadlineWheel& wheel, std::int64_t now_ms) {
  std::vector<int> fds;
  wheel.expire(now_ms, [&](int fd) { fds.push_back(fd); });
  std::sort(fds.begin(), fds.end());
  return fds;
}

}  // namespace

TEST_CASE("a deadline expires once, not before it is due and no later than the granularity", "[deadline_wheel]") {
  DeadlineWheel wheel(8, 50);
  CHECK(wheel.wait_ms(start_ms) == -1);
  wheel.set(3, start_ms + 1000);
  CHECK(wheel.wait_ms(start_ms) >= 1000);
  CHECK(wheel.wait_ms(start_ms) <= 1050);
  CHECK(expire(wheel, start_ms + 999).empty());
  CHECK(expire(wheel, start_ms + 1050) == std::vector<int>{3});
  CHECK(expire(wheel, start_ms + 100'000).empty());
  CHECK(wheel.wait_ms(start_ms + 100'000) == -1);
}

TEST_CASE("a deadline that is moved or cleared does not expire at its old time", "[deadline_wheel]") {
  DeadlineWheel wheel(8, 50);
  wheel.set(1, start_ms + 100);
  wheel.set(2, start_ms + 100);
  wheel.set(3, start_ms + 5000);
  wheel.set(1, start_ms + 700);
  wheel.clear(2);
  wheel.set(3, start_ms + 300);  // sooner
  CHECK(expire(wheel, start_ms + 200).empty());
  CHECK(expire(wheel, start_ms + 400) == std::vector<int>{3});
  CHECK(expire(wheel, start_ms + 650).empty());
  CHECK(expire(wheel, start_ms + 750) == std::vector<int>{1});
  CHECK(wheel.wait_ms(start_ms + 750) == -1);
  wheel.clear(1);  // clearing what is not set does nothing
  CHECK(wheel.wait_ms(start_ms + 750) == -1);
}

TEST_CASE("a deadline many laps away expires when it is due", "[deadline_wheel]") {
  DeadlineWheel wheel(2, 10);
  wheel.set(0, start_ms + 3'600'000);
  std::int64_t now_ms = start_ms;
  int wakes = 0;
  while (now_ms < start_ms + 3'600'000) {
    REQUIRE(expire(wheel, now_ms).empty());
    const int wait_ms = wheel.wait_ms(now_ms);
    REQUIRE(wait_ms > 0);
    now_ms += wait_ms;
    ++wakes;
  }
  CHECK(now_ms < start_ms + 3'600'000 + 10);
  CHECK(expire(wheel, now_ms) == std::vector<int>{0});
  CHECK(wakes < 400);  // one a lap, not one a slot
}

TEST_CASE("a deadline in the past, and one after a long pause, expire", "[deadline_wheel]") {
  DeadlineWheel wheel(4, 50);
  CHECK(expire(wheel, start_ms).empty());
  wheel.set(0, start_ms - 1000);
  wheel.set(1, 0);
  CHECK(wheel.wait_ms(start_ms) <= 50);
  CHECK(expire(wheel, start_ms + 50) == std::vector<int>{0, 1});
  wheel.set(2, start_ms + 200);
  wheel.set(3, start_ms + 1'000'000);
  CHECK(expire(wheel, start_ms + 2'000'000'000) == std::vector<int>{2, 3});
}

TEST_CASE("`never` clears, and a wait too long for int is cut", "[deadline_wheel]") {
  DeadlineWheel wheel(4, 50);
  wheel.set(0, start_ms + 10);
  wheel.set(0, DeadlineWheel::never);
  CHECK(wheel.wait_ms(start_ms) == -1);
  CHECK(expire(wheel, start_ms + 1000).empty());
  wheel.set(1, start_ms + (std::int64_t{1} << 40));
  CHECK(wheel.wait_ms(start_ms) == std::numeric_limits<int>::max());
}

TEST_CASE("the wheel keeps the unit of its caller's clock: nanoseconds", "[deadline_wheel]") {
  constexpr std::int64_t start_ns = 987'654'321'000'000, granularity_ns = 15'000'000'000 / 64;
  DeadlineWheel wheel(4, granularity_ns);
  CHECK(wheel.next() == DeadlineWheel::never);
  wheel.set(0, start_ns + 15'000'000'000);
  CHECK(wheel.next() >= start_ns + 15'000'000'000);
  CHECK(wheel.next() < start_ns + 15'000'000'000 + granularity_ns);
  CHECK(expire(wheel, start_ns + 14'999'999'999).empty());
  CHECK(expire(wheel, wheel.next()) == std::vector<int>{0});
  CHECK(wheel.next() == DeadlineWheel::never);
}

TEST_CASE("what expires may set and clear deadlines, its own too", "[deadline_wheel]") {
  DeadlineWheel wheel(8, 50);
  for (int fd = 0; fd < 4; ++fd) wheel.set(fd, start_ms + 100);
  std::vector<int> fds;
  const auto expired = [&](int fd) {
    fds.push_back(fd);
    wheel.set(fd, start_ms);                   // already past: must come with a later call, not in this one for ever
    wheel.set(7, start_ms + 100 + 1024 * 50);  // a lap ahead: the same slot
    if (fd == 0) wheel.clear(3);
    if (fd == 0) wheel.set(2, start_ms + 10'000);
  };
  wheel.expire(start_ms + 160, expired);
  REQUIRE(fds.size() >= 2);
  // Within a slot the order is that of setting.
  CHECK(fds == std::vector<int>{0, 1});
  CHECK(expire(wheel, start_ms + 250) == std::vector<int>{0, 1});
  CHECK(expire(wheel, start_ms + 10'050) == std::vector<int>{2});
  CHECK(expire(wheel, start_ms + 100 + 1024 * 50 + 50) == std::vector<int>{7});
  CHECK(wheel.wait_ms(start_ms) == -1);
}

TEST_CASE("the wheel does as a map of deadlines does", "[deadline_wheel]") {
  const int granularity_ms = GENERATE(1, 7, 50);
  constexpr int descriptors = 60;
  std::mt19937_64 random(static_cast<std::uint64_t>(granularity_ms));
  DeadlineWheel wheel(descriptors, granularity_ms);
  std::map<int, std::int64_t> model;
  std::int64_t now_ms = start_ms;
  std::int64_t look_ms = start_ms;  // when expire() was last called
  std::int64_t expired_in_all = 0;
  const auto a_deadline = [&]() -> std::int64_t {
    switch (random() % 8) {
      case 0: return now_ms - static_cast<std::int64_t>(random() % 500);
      case 1: return now_ms + static_cast<std::int64_t>(random() % 500'000);  // laps away
      default: return now_ms + static_cast<std::int64_t>(random() % 3'000);
    }
  };
  for (int step = 0; step < 30'000; ++step) {
    const int fd = static_cast<int>(random() % descriptors);
    const auto action = random() % 10;
    if (action < 5) {
      const std::int64_t deadline_ms = a_deadline();
      wheel.set(fd, deadline_ms);
      model[fd] = deadline_ms;
    } else if (action < 6) {
      wheel.clear(fd);
      model.erase(fd);
    } else {
      const int wait_ms = wheel.wait_ms(now_ms);
      REQUIRE((wait_ms == -1) == model.empty());
      std::int64_t earliest_ms = std::numeric_limits<std::int64_t>::max() / 2;
      for (const auto& [_, deadline_ms] : model) earliest_ms = std::min(earliest_ms, deadline_ms);
      // Never late by more than the granularity.
      if (!model.empty()) REQUIRE(now_ms + wait_ms <= std::max(earliest_ms, now_ms) + granularity_ms);

      // Time goes on by what a server would have waited, by less, or by far more.
      const auto pace = random() % 20;
      if (pace == 0)
        now_ms += static_cast<std::int64_t>(random() % 400'000);
      else if (pace < 10)
        now_ms += static_cast<std::int64_t>(random() % 100);
      else if (wait_ms > 0)
        now_ms += wait_ms;

      std::set<int> expired;
      const std::int64_t last_look_ms = std::exchange(look_ms, now_ms);
      wheel.expire(now_ms, [&](int due) {
        REQUIRE(model.contains(due));
        REQUIRE(model[due] <= now_ms);
        REQUIRE(expired.insert(due).second);
        model.erase(due);
        ++expired_in_all;
        if (random() % 4 == 0) {  // as a server does that gives a connection a last moment
          const int other = static_cast<int>(random() % descriptors);
          if (!expired.contains(other)) {
            const std::int64_t deadline_ms = now_ms + 1 + static_cast<std::int64_t>(random() % 2'000);
            wheel.set(other, deadline_ms);
            model[other] = deadline_ms;
          }
        }
      });
      // What is left is not due, or no longer than the granularity; counted, where it was set too late, from the
      // last look.
      for (const auto& [due, deadline_ms] : model) {
        REQUIRE(std::max(deadline_ms, last_look_ms) > now_ms - granularity_ms);
      }
    }
  }
  CHECK(expired_in_all > 1000);
}
