#include "core/events/wakeup.h"

#include <poll.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>

#include "tests/catch.h"
#include "tests/support/interleavings.h"

using namespace bakeoff;

// Named, because the wake-up has members of these types.
namespace stepping {

inline bakeoff::test::Interleavings interleavings;

template <class T>
class Atomic {
 public:
  Atomic(T value) : value_(value) {}
  T exchange(T value) {
    return interleavings.step([&] { return std::exchange(value_, value); }) != 0;
  }
  void store(T value) { exchange(value); }

 private:
  T value_;
};

inline std::uint64_t event_count = 0;
struct Event {
  Event() { event_count = 0; }
  void add_one() {
    interleavings.step([] { return ++event_count; });
  }
  void take_all() {
    interleavings.step([] { return std::exchange(event_count, 0); });
  }
};
inline void wait_for_event() {
  interleavings.step([] { return 0; }, [] { return event_count > 0; });
}

}  // namespace stepping

namespace {

bool is_readable(const Wakeup& wakeup) {
  pollfd waiting = {wakeup.fd(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

}  // namespace

TEST_CASE("no notification is lost, whatever order the steps of who notifies and who waits have") {
  std::optional<WakeupOf<stepping::Atomic, stepping::Event>> wakeup;
  std::uint64_t left = 0;
  constexpr std::uint64_t all = 2;
  const auto notifier = [&](std::uint64_t times) {
    return [&left, &wakeup, times] {
      for (std::uint64_t i = 0; i < times; ++i) {
        stepping::interleavings.step([&] { return ++left; });
        wakeup->notify();
      }
    };
  };
  const auto waiter = [&] {
    for (;;) {
      wakeup->acknowledge();
      if (stepping::interleavings.step([&] { return left; }) == all) return;
      stepping::wait_for_event();
    }
  };
  const auto begin = [&] {
    wakeup.emplace();
    left = 0;
  };
  const auto one = stepping::interleavings.explore({notifier(all), waiter}, begin);
  CHECK(one.stuck == 0);
  CHECK(one.orders > 500);
  const auto two = stepping::interleavings.explore({notifier(1), notifier(all - 1), waiter}, begin);
  CHECK(two.stuck == 0);
  CHECK(two.orders > one.orders);
}

TEST_CASE("a notification is seen until it is acknowledged") {
  Wakeup wakeup;
  CHECK_FALSE(is_readable(wakeup));
  wakeup.acknowledge();  // nothing to acknowledge: does not wait
  wakeup.notify();
  wakeup.notify();
  CHECK(is_readable(wakeup));
  wakeup.acknowledge();
  CHECK_FALSE(is_readable(wakeup));
  wakeup.notify();
  CHECK(is_readable(wakeup));
}

TEST_CASE("no notification is lost between threads") {
  Wakeup wakeup;
  constexpr int last = 20'000;
  std::atomic<int> said = 0;
  std::thread speaker([&] {
    for (int i = 1; i <= last; ++i) {
      said = i;
      wakeup.notify();
    }
  });
  bool in_time = true;
  for (int heard = 0; heard < last && in_time;) {
    pollfd waiting = {wakeup.fd(), POLLIN, 0};
    in_time = ::poll(&waiting, 1, 20'000) == 1;  // a lost one would leave this wait without an end
    wakeup.acknowledge();
    heard = said;
  }
  speaker.join();
  CHECK(in_time);
}
