// Cooperative user-level threads on one kernel thread, like Knot's from Capriccio (Pariag 2007, section 4.1). A socket
// call that would block parks the thread and puts its descriptor into the poll set. Work that may wait for the disk
// goes to kernel worker threads while the user-level thread is parked. Built on Boost.Context.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/events/poller.h"
#include "core/stats.h"
#include "core/trace/recorder.h"

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
    TraceRecorder* trace = nullptr;  // where the scheduler records its waits
  };
  using Counters = UserThreadCounters;

  explicit UserThreads(Settings settings);
  ~UserThreads();

  // Adds a thread, to run when run() next looks. Throws StartError when there is no memory for its stack.
  void spawn(std::function<void()> body);

  // Runs the threads until stop_fd becomes readable or all threads have ended. The stacks of threads that are still
  // parked are unwound: the call that parked throws, destructors run, and calls that would park in those return at
  // once (on_worker runs its job on the spot). BLOCKS: disk, network, until the jobs on kernel worker threads are
  // done. Throws StartError when the kernel worker threads cannot be started. An exception that leaves a body ends all
  // threads in the same way, and run() with it. on_stop is called when stop_fd is readable, on the scheduler's stack;
  // it returns false to let the threads go on.
  void run(
      int stop_fd, std::function<bool()> on_stop = [] { return true; });

  // From on_stop, or from a thread. Ends all threads at that time, as stop_fd does. In ms of CLOCK_MONOTONIC.
  void end_by(std::int64_t deadline_ms);
  // The same: each thread that waits for a descriptor to become readable, alone or with others, goes on as if it were.
  void wake_readers();

  // --- from within a user-level thread, though not in a catch block: the C++ runtime keeps what is being handled for
  // --- the kernel thread, not for ours

  // PARKS until fd is readable (writable); false when now() passed deadline_ms first, by up to the grain plus a clock
  // tick. Throws NoEventMemory instead of waiting. At most one thread waits per fd and direction. deadline_ms is in ms
  // of CLOCK_MONOTONIC; DeadlineWheel::never: none.
  bool wait_readable(int fd, std::int64_t deadline_ms);
  bool wait_writable(int fd, std::int64_t deadline_ms);

  // PARKS until now() has passed deadline_ms, likewise. fd, of the caller's own, stands for the thread meanwhile.
  void wait_until(int fd, std::int64_t deadline_ms);

  // PARKS in a first-come queue for fd, which many threads may share (a listening socket). Each time fd is ready at
  // most `wake_most` of them are woken (0: all), one batch a scheduler turn; Settings::newcomers_first says whether
  // before or after the threads that are ready to run.
  void wait_shared(int fd, int wake_most);

  // Wakes up to `most` (0: all) of the threads that wait_shared() for fd, in the same place: for one that found it
  // ready and leaves more behind.
  void wake_shared(int fd, int most);

  // Wakes no thread in wait_shared() for fd before now() has passed deadline_ms or a descriptor is closed (closing()).
  // For a thread that found fd ready but could not accept because descriptors ran out. Does not park.
  void pause_shared(int fd, std::int64_t deadline_ms);

  // PARKS behind the threads that are ready to run.
  void yield();

  // PARKS while job() runs on a kernel worker thread, in the order of the calls, with all signals blocked. The job must
  // not touch this object. What it throws is thrown here.
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
