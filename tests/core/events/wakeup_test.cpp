#include "core/events/wakeup.h"

#include <poll.h>

#include <atomic>
#include <thread>

#include "tests/catch.h"

using namespace bakeoff;

namespace {

bool is_readable(const Wakeup& wakeup) {
  pollfd waiting = {wakeup.fd(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

}  // namespace

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
