#include "harness/processes/reactor.h"

#include <csignal>

#include "core/base/signals.h"

namespace bakeoff {

Reactor::Reactor() : signals_(io_) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    if (!is_ignored(number)) signals_.add(number);
  }
  await_signal();
}

void Reactor::await_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int) {
    if (error) return;
    interrupted_ = true;
    await_signal();
  });
}

bool Reactor::wait_until(const std::function<bool()>& done, SteadyTime deadline) { return run(done, deadline, true); }

bool Reactor::wait_until_uninterrupted(const std::function<bool()>& done, SteadyTime deadline) {
  return run(done, deadline, false);
}

void Reactor::sleep_until(SteadyTime time) {
  wait_until([] { return false; }, time);
}

bool Reactor::run(const std::function<bool()>& done, SteadyTime deadline, bool interruptible) {
  wake_.expires_at(deadline);
  wake_.async_wait([](const boost::system::error_code&) {});
  for (;;) {
    io_.restart();
    io_.poll();  // what is already there, before anything is concluded from the clock
    if (interruptible && interrupted_) throw Interrupted{};
    if (done()) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    io_.restart();
    io_.run_one();
  }
}

}  // namespace bakeoff
