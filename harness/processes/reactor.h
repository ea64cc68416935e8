// The harness waits in one Asio loop, on one thread, for everything: children's output, their ends, timers, and
// signals to stop. Each wait has a condition and a deadline. An interrupt ends every wait with an exception, so that
// destructors end the children.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>

namespace bakeoff {

using SteadyTime = std::chrono::steady_clock::time_point;

// SIGINT, SIGTERM or SIGHUP came: exit status 130. Those that were ignored when the reactor was made stay ignored, as
// nohup and a shell's background want it.
struct Interrupted {};

class Reactor {
 public:
  Reactor();

  boost::asio::io_context& io() { return io_; }

  // Runs the loop until done() or the deadline; false when it was the deadline. BLOCKS.
  // Throws Interrupted as soon as a signal has come, also when called after it.
  bool wait_until(const std::function<bool()>& done, SteadyTime deadline);
  // The same for clean-up, which a signal must not cut short.
  bool wait_until_uninterrupted(const std::function<bool()>& done, SteadyTime deadline);
  void sleep_until(SteadyTime time);

  bool interrupted() const { return interrupted_; }

 private:
  bool run(const std::function<bool()>& done, SteadyTime deadline, bool interruptible);
  void await_signal();

  boost::asio::io_context io_{1};
  boost::asio::steady_timer wake_{io_};
  boost::asio::signal_set signals_;
  bool interrupted_ = false;
};

inline SteadyTime after_s(double seconds) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

}  // namespace bakeoff
