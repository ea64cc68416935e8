// User-level threads on one kernel thread, as Capriccio gives them to Knot (Pariag 2007, section 4.1): cooperative;
// a socket call that would block parks the thread and puts its descriptor into the poll set; work that may wait for the
// disk goes to kernel worker threads while the user-level thread is parked. On Boost.Context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/events/poller.h"
#include "core/stats.h"

namespace bakeoff {

class UserThreads {
 public:
  struct Settings {
    EventMechanism mechanism = EventMechanism::epoll;
    int descriptors = 1024;               // bound on descriptor numbers
    std::size_t stack_bytes = 64 * 1024;  // address space; only touched pages cost memory. A guard page lies below:
                                          // how many threads that allows, see ThreadStacks.
    int disk_workers = 1;                 // kernel threads for on_worker
    int deadline_grain_ms = 50;           // how late a deadline may be found
    // Policy A of von Behren 2003, section 5: threads that wait_shared() go before all others once their descriptor is
    // ready. Otherwise policy C: behind those that are ready to run.
    bool newcomers_first = false;
  };
  using Counters = UserThreadCounters;

  explicit UserThreads(Settings settings);
  ~UserThreads();

  // Adds a thread, to run when run() next looks. Throws StartError when its stack cannot be had.
  void spawn(std::function<void()> body);

  // Runs the threads until stop_fd becomes readable or all threads have ended. Threads still parked then are destroyed
  // with their stacks unwound: the call that parked throws, destructors run, and calls that would park in those return
  // at once (on_worker runs its job on the spot). BLOCKS: disk, network, until the jobs then on kernel worker threads
  // are done. Throws StartError when the kernel worker threads cannot be had. A body that lets an exception out ends
  // the process.
  void run(int stop_fd);

  // --- from within a user-level thread, though not in a catch block: the C++ runtime keeps what is being handled for
  // --- the kernel thread, not for ours

  // PARKS until fd is readable (writable); false when now() passed deadline_ms first, by up to the grain and a clock tick
  // more. One thread waits per fd and direction. deadline_ms is in ms of CLOCK_MONOTONIC; DeadlineWheel::never: none.
  bool wait_readable(int fd, std::int64_t deadline_ms);
  bool wait_writable(int fd, std::int64_t deadline_ms);

  // PARKS until now() has passed deadline_ms, likewise. fd, of the caller's own, stands for the thread meanwhile.
  void wait_until(int fd, std::int64_t deadline_ms);

  // PARKS in a first-come queue for fd, which many threads may share (a listening socket). Each time fd is ready at
  // most `wake_most` of them are woken (0: all), one batch a scheduler turn; Settings::newcomers_first says whether before
  // or after the threads that are ready to run.
  void wait_shared(int fd, int wake_most);

  // Wakes up to `most` (0: all) of the threads that wait_shared() for fd, in the same place: for one that found it ready
  // and leaves more behind.
  void wake_shared(int fd, int most);

  // PARKS behind the threads that are ready to run.
  void yield();

  // PARKS while job() runs on a kernel worker thread, in the order of the calls, with all signals blocked. The job must
  // neither touch this object nor throw.
  void on_worker(const std::function<void()>& job);

  // Tells that fd is closed by the caller next. REQUIRES: no thread waits for it.
  void closing(int fd);

  Counters counters() const;
  // `each_turn` is called after each call of the event mechanism, on the scheduler's stack. Call before run().
  void on_turn(std::function<void(const Counters&)> each_turn);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bakeoff
