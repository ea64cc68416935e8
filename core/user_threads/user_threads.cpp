#include "core/user_threads/user_threads.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/slist.hpp>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/errors.h"
#include "core/events/deadline_wheel.h"
#include "core/events/wakeup.h"
#include "core/user_threads/fiber_annotations.h"
#include "core/user_threads/thread_stacks.h"

namespace bakeoff {
namespace {

namespace intrusive = boost::intrusive;
using Fiber = boost::context::fiber;
using Unlinked = intrusive::link_mode<intrusive::normal_link>;

// What unwinds the stack of a thread that is still parked when run() ends. No std::exception, so that no body takes it
// for an error of its own.
struct Unwind {};

// Lies at the top of the thread's own stack: parking, waking and going to a worker allocate nothing, and a parked
// thread has one page of memory as long as its frames fit beside this.
struct Thread {
  intrusive::slist_member_hook<Unlinked> queued;  // in one queue at a time: ready, shared or the workers'
  intrusive::list_member_hook<Unlinked> living;
  Fiber context;  // where it goes on; empty while it runs and once it has ended
  std::function<void()> body;
  std::byte* stack;
  const std::function<void()>* job = nullptr;  // for a worker
  std::exception_ptr failure;                  // of that job
  std::int64_t queued_ns = 0;                  // since when the job waits; 0: a worker is free for it
  int waits_on = -1;                           // descriptor and direction, see UserThreads::State::key_of
  int wake_most = 0;
  bool timed_out = false;
  bool for_time_alone = false;  // no readiness wakes it
  [[no_unique_address]] FiberAnnotations annotations;
};

using Queue = intrusive::slist<Thread, intrusive::member_hook<Thread, decltype(Thread::queued), &Thread::queued>,
                               intrusive::constant_time_size<false>, intrusive::cache_last<true>>;
using Living = intrusive::list<Thread, intrusive::member_hook<Thread, decltype(Thread::living), &Thread::living>>;

Thread& take_first(Queue& queue) {
  Thread& thread = queue.front();
  queue.pop_front();
  return thread;
}

// Boost's allocator of stacks. The stack outlives the fiber, as the thread's record lies in it.
struct KeepsStack {
  void deallocate(boost::context::stack_context&) noexcept {}
};

// The kernel threads that wait for the disk in place of user-level threads (Capriccio's worker threads).
class DiskWorkers {
 public:
  DiskWorkers() = default;
  DiskWorkers(const DiskWorkers&) = delete;
  DiskWorkers& operator=(const DiskWorkers&) = delete;
  ~DiskWorkers() { stop(); }

  void start(int workers) {
    // Signals are for the kernel thread of the scheduler.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      for (int i = 0; i < workers; ++i) kernel_threads_.emplace_back([this] { work(); });
      started_.add(kernel_threads_.size());
    } catch (const std::system_error& error) {
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      const std::string made = std::to_string(kernel_threads_.size());
      stop();
      throw StartError("only " + made + " of " + std::to_string(workers) + " disk workers could be made: " +
                       error.what() + "; ask for fewer workers or raise the limit on processes (ulimit -u)");
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  // BLOCKS: disk, network. Ends the kernel threads once the jobs that they run now are done; those not yet begun never
  // are.
  void stop() {
    {
      const std::lock_guard lock(jobs_mutex_);
      stopping_ = true;
    }
    jobs_changed_.notify_all();
    for (std::thread& thread : kernel_threads_) thread.join();
    kernel_threads_.clear();
    jobs_.clear();
    waiting_ = 0;
    finished_.clear();
    away_ = 0;
    asleep_ = false;
    stopping_ = false;
  }

  void submit(Thread& thread) {
    BAKEOFF_CHECK(!kernel_threads_.empty());
    ++away_;
    {
      const std::lock_guard lock(jobs_mutex_);
      queued_.add(waiting_);
      thread.queued_ns = waiting_ >= free_ ? monotonic_ns() : 0;
      ++waiting_;
      if (waiting_ > free_) queued_most_.raise_to(waiting_ - free_);
      submitted_.add();
      jobs_.push_back(thread);
    }
    jobs_changed_.notify_one();
  }

  // Queues between the scheduler and its kernel threads are under locks; each counter has one writer at a time. Why no
  // wake-up is lost: asleep_ and finished_ change under one lock. If a worker finishes before the scheduler looks, the
  // scheduler finds it; if after, the worker finds asleep_ and notifies.
  // True when the scheduler may sleep until wakeup() comes. Only then does a worker notify it, and only the first one:
  // while the scheduler is busy, a finished job costs no system call.
  bool may_sleep() {
    if (away_ == 0) return true;
    const std::lock_guard lock(finished_mutex_);
    asleep_ = finished_.empty();
    return asleep_;
  }

  void collect_finished(Queue& into) {
    if (away_ == 0) return;
    Queue finished;
    {
      const std::lock_guard lock(finished_mutex_);
      asleep_ = false;
      finished.swap(finished_);
    }
    while (!finished.empty()) {
      into.push_back(take_first(finished));
      --away_;
    }
  }

  Wakeup& wakeup() { return wakeup_; }

  HelperCounters counters() const {
    return {.started = started_.get(),
            .jobs = submitted_.get(),
            .queued = queued_.get(),
            .queued_most = queued_most_.get(),
            .wait_ns = wait_ns_.get()};
  }

 private:
  void work() {
    std::unique_lock lock(jobs_mutex_);
    while (true) {
      ++free_;
      jobs_changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      --free_;
      if (stopping_) return;
      Thread& thread = take_first(jobs_);
      --waiting_;
      if (thread.queued_ns != 0) wait_ns_.add(static_cast<std::uint64_t>(monotonic_ns() - thread.queued_ns));
      lock.unlock();
      try {
        (*thread.job)();
      } catch (...) {
        thread.failure = std::current_exception();
      }
      finish(thread);
      lock.lock();
    }
  }

  void finish(Thread& thread) {
    bool wake = false;
    {
      const std::lock_guard lock(finished_mutex_);
      finished_.push_back(thread);
      wake = std::exchange(asleep_, false);
    }
    if (wake) wakeup_.notify();
  }

  Wakeup wakeup_;
  std::vector<std::thread> kernel_threads_;
  std::size_t away_ = 0;  // threads submitted and not yet collected; the scheduler's alone

  std::mutex jobs_mutex_;
  std::condition_variable jobs_changed_;
  Queue jobs_;
  std::size_t waiting_ = 0;                                       // in jobs_
  std::size_t free_ = 0;                                          // kernel threads without a job
  Counter started_, submitted_, queued_, queued_most_, wait_ns_;  // written under the mutex, read without
  bool stopping_ = false;

  std::mutex finished_mutex_;
  Queue finished_;
  bool asleep_ = false;  // the scheduler wants to be notified
};

}  // namespace

struct UserThreads::State {
  explicit State(Settings settings_of_it)
      : settings(settings_of_it),
        stacks(settings.stack_bytes),
        poller(make_poller(settings.mechanism, settings.descriptors)),
        deadlines(2 * settings.descriptors, settings.deadline_grain_ms),
        waiting(2 * static_cast<std::size_t>(settings.descriptors)) {}

  ~State() { unwind_all(); }

  // --- on the scheduler's stack ---

  void spawn(std::function<void()> body);
  void switch_to(Thread& thread);
  void end(Thread& thread);
  void run(int stop_fd, const std::function<bool()>& on_stop);
  bool take_events(int stop_fd, const std::function<bool()>& on_stop);
  void wake_readers();
  void wake(int fd, bool writer, bool timed_out);
  void unwind_all();

  // --- on a thread's stack ---

  void park();
  bool wait(int fd, bool for_writing, std::int64_t deadline_ms, bool for_time_alone = false);
  void wait_shared(int fd, int wake_most);
  void wake_shared(int fd, int most);
  void pause_shared(int fd, std::int64_t deadline_ms);
  void yield();
  void on_worker(const std::function<void()>& job);
  void closing(int fd);

  // What every call that parks does first: true when run() is ending and this thread, in a destructor, must not park.
  bool unwinding() const {
    BAKEOFF_CHECK(running != nullptr);
    if (stopping && std::uncaught_exceptions() == 0) throw Unwind{};
    return stopping;
  }

  int key_of(int fd, bool writer) const {
    BAKEOFF_CHECK(0 <= fd && fd < settings.descriptors);
    return 2 * fd + static_cast<int>(writer);
  }
  Thread*& waiter(int key) { return waiting[static_cast<std::size_t>(key)]; }
  Interest interest_in(int fd) {
    const auto waits = [this](int key) { return waiter(key) != nullptr && !waiter(key)->for_time_alone; };
    return static_cast<Interest>((waits(2 * fd) ? 1 : 0) | (waits(2 * fd + 1) ? 2 : 0));
  }

  // The threads that wait in turn for one descriptor.
  struct Shared {
    int fd;
    Queue threads;
    bool ready = false;
    bool paused = false;  // its deadline is that of its descriptor
  };
  Shared* shared_of(int fd) {
    for (Shared& one : shared)
      if (one.fd == fd) return &one;
    return nullptr;
  }
  void wake_first(Shared& one, int most);
  void end_pause(Shared& one);
  void watch_shared(Shared& one);

  Counters told_counters() const {
    Counters told = counters;
    told.workers = workers.counters();
    return told;
  }

  Settings settings;
  Counters counters;
  std::function<void(const Counters&)> each_turn;
  ThreadStacks stacks;
  std::unique_ptr<Poller> poller;
  DeadlineWheel deadlines;       // by key
  std::vector<Thread*> waiting;  // by key
  std::vector<Shared> shared;    // one for each listening socket, so that a search is cheaper than a table
  SystemClock clock;
  std::int64_t end_ms = DeadlineWheel::never;  // when all threads are ended
  DiskWorkers workers;

  Living living;
  Queue ready;
  Queue newcomers;  // go before all others (policy A)
  Thread* running = nullptr;
  Fiber scheduler;             // where the scheduler goes on when the running thread parks
  std::exception_ptr failure;  // what left a body: run() rethrows it
  bool stopping = false;       // every thread that runs now has to unwind its stack
};

void UserThreads::State::spawn(std::function<void()> body) {
  constexpr std::size_t cache_line = 64;
  constexpr std::size_t record_bytes = (sizeof(Thread) + cache_line - 1) / cache_line * cache_line;
  std::byte* const stack = stacks.take();
  const std::size_t bytes = stacks.bytes() - record_bytes;
  auto* const thread = new (stack + bytes) Thread;
  thread->body = std::move(body);
  thread->stack = stack;

  boost::context::stack_context place;
  place.sp = stack + bytes;
  place.size = bytes;
  thread->annotations.creating(stack, bytes);
  thread->context = Fiber(std::allocator_arg, boost::context::preallocated(place.sp, place.size, place), KeepsStack{},
                          [this, thread](Fiber&& came_from) {
                            scheduler = std::move(came_from);
                            thread->annotations.entered();
                            try {
                              if (!stopping) thread->body();
                            } catch (const Unwind&) {
                            } catch (...) {
                              if (!failure) failure = std::current_exception();
                            }
                            thread->annotations.leaving(true);
                            return std::move(scheduler);
                          });
  thread->annotations.created();
  living.push_back(*thread);
  ready.push_back(*thread);
}

void UserThreads::State::switch_to(Thread& thread) {
  ++counters.switches;
  running = &thread;
  thread.annotations.entering();
  thread.context = std::move(thread.context).resume();
  thread.annotations.left();
  running = nullptr;
  if (!thread.context) end(thread);
}

void UserThreads::State::end(Thread& thread) {
  living.erase(living.iterator_to(thread));
  thread.annotations.ended();
  std::byte* const stack = thread.stack;
  thread.~Thread();
  stacks.give_back(stack);
}

void UserThreads::State::park() {
  Thread& self = *running;
  self.annotations.leaving(false);
  scheduler = std::move(scheduler).resume();
  self.annotations.entered();
  if (stopping) throw Unwind{};
}

void UserThreads::State::run(int stop_fd, const std::function<bool()>& on_stop) {
  BAKEOFF_CHECK(running == nullptr);
  workers.start(settings.disk_workers);
  poller->watch(workers.wakeup().fd(), Interest::read);
  poller->watch(stop_fd, Interest::read);
  do {
    Queue batch;
    batch.swap(ready);
    while (!batch.empty() || !newcomers.empty()) switch_to(take_first(newcomers.empty() ? batch : newcomers));
  } while (!failure && !living.empty() && take_events(stop_fd, on_stop));
  poller->forget(stop_fd);
  poller->forget(workers.wakeup().fd());
  workers.stop();
  unwind_all();
  if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
}

// One call of the event mechanism between two batches of threads. False when the threads are to stop.
bool UserThreads::State::take_events(int stop_fd, const std::function<bool()>& on_stop) {
  constexpr std::size_t own_descriptors = 2;  // the workers' wake-up and stop_fd
  int timeout_ms = 0;
  if (ready.empty() && workers.may_sleep()) {
    clock.refresh();
    timeout_ms = deadlines.wait_ms(clock.now_ms());
    if (end_ms != DeadlineWheel::never) {
      const auto left_ms = static_cast<int>(std::clamp<std::int64_t>(end_ms - clock.now_ms(), 0, 60'000));
      timeout_ms = timeout_ms < 0 ? left_ms : std::min(timeout_ms, left_ms);
    }
  }
  ++counters.polls;
  counters.polled_descriptors += poller->watched() - own_descriptors;
  if (settings.trace != nullptr) settings.trace->begin_wait();
  const std::span<const Ready> events = poller->wait(timeout_ms);
  if (settings.trace != nullptr) settings.trace->end_wait(events.size());
  counters.found_ready += events.size();

  bool go_on = true;
  for (const Ready& event : events) {
    if (event.fd == stop_fd) {
      go_on = !on_stop();
    } else if (event.fd == workers.wakeup().fd()) {
      workers.wakeup().acknowledge();
    } else if (Shared* one = shared_of(event.fd)) {
      one->ready = true;
    } else {
      if (event.readable) wake(event.fd, false, false);
      if (event.writable) wake(event.fd, true, false);
    }
  }
  clock.refresh();
  deadlines.expire(clock.now_ms(), [this](int key) {
    Shared* const one = shared_of(key / 2);
    one != nullptr ? end_pause(*one) : wake(key / 2, key % 2 != 0, true);
  });
  workers.collect_finished(ready);
  // Last, so that under policy C connections in progress go before new ones.
  for (Shared& one : shared)
    if (std::exchange(one.ready, false)) wake_first(one, one.threads.front().wake_most);
  if (each_turn) each_turn(told_counters());
  return go_on && clock.now_ms() < end_ms;
}

void UserThreads::State::wake(int fd, bool writer, bool timed_out) {
  const int key = key_of(fd, writer);
  Thread* const thread = std::exchange(waiter(key), nullptr);
  if (thread == nullptr) return;
  thread->waits_on = -1;
  thread->timed_out = timed_out;
  deadlines.clear(key);
  poller->watch(fd, interest_in(fd));
  ready.push_back(*thread);
}

void UserThreads::State::wake_first(Shared& one, int most) {
  for (int woken = 0; !one.threads.empty() && (most == 0 || woken < most); ++woken)
    (settings.newcomers_first ? newcomers : ready).push_back(take_first(one.threads));
  if (one.threads.empty()) poller->watch(one.fd, Interest::none);
}

void UserThreads::State::wake_readers() {
  for (int fd = 0; fd < settings.descriptors; ++fd) {
    const Thread* const thread = waiter(key_of(fd, false));
    if (thread != nullptr && !thread->for_time_alone) wake(fd, false, false);
  }
  for (Shared& one : shared) wake_first(one, 0);
}

void UserThreads::State::unwind_all() {
  stopping = true;
  ready.clear();
  newcomers.clear();
  for (Shared& one : shared) {
    poller->watch(one.fd, Interest::none);
    deadlines.clear(key_of(one.fd, false));
  }
  shared.clear();
  for (Thread& thread : living)
    if (thread.waits_on >= 0) wake(thread.waits_on / 2, thread.waits_on % 2 != 0, false);
  ready.clear();
  while (!living.empty()) switch_to(living.front());
  ready.clear();
  stopping = false;
}

bool UserThreads::State::wait(int fd, bool for_writing, std::int64_t deadline_ms, bool for_time_alone) {
  if (unwinding()) return false;
  Thread& self = *running;
  const int key = key_of(fd, for_writing);
  BAKEOFF_CHECK(waiter(key) == nullptr && shared_of(fd) == nullptr);  // one thread a descriptor and direction
  waiter(key) = &self;
  self.for_time_alone = for_time_alone;
  try {
    poller->watch(fd, interest_in(fd));
  } catch (...) {
    waiter(key) = nullptr;
    throw;
  }
  deadlines.set(key, deadline_ms);
  self.waits_on = key;
  park();
  return !self.timed_out;
}

void UserThreads::State::wait_shared(int fd, int wake_most) {
  if (unwinding()) return;
  BAKEOFF_CHECK(wake_most >= 0);
  Thread& self = *running;
  Shared* one = shared_of(fd);
  if (one == nullptr) one = &shared.emplace_back(Shared{fd, {}, false});
  if (one->threads.empty() && !one->paused) watch_shared(*one);
  self.wake_most = wake_most;
  one->threads.push_back(self);
  park();
}

void UserThreads::State::wake_shared(int fd, int most) {
  Shared* const one = shared_of(fd);
  if (one != nullptr && !one->threads.empty() && !one->paused) wake_first(*one, most);
}

void UserThreads::State::pause_shared(int fd, std::int64_t deadline_ms) {
  if (unwinding()) return;
  Shared* one = shared_of(fd);
  if (one == nullptr) one = &shared.emplace_back(Shared{fd, {}, false});
  one->paused = true;
  one->ready = false;
  poller->watch(fd, Interest::none);
  deadlines.set(key_of(fd, false), deadline_ms);
}

// Its pause is over.
void UserThreads::State::end_pause(Shared& one) {
  one.paused = false;
  deadlines.clear(key_of(one.fd, false));
  if (!one.threads.empty()) watch_shared(one);
}

// Who waits for it must not end for lack of the kernel's memory: it is tried again.
void UserThreads::State::watch_shared(Shared& one) {
  constexpr std::int64_t pause_ms = 100;
  try {
    poller->watch(one.fd, Interest::read);
  } catch (const std::bad_alloc&) {
    one.paused = true;
    deadlines.set(key_of(one.fd, false), clock.now_ms() + pause_ms);
  }
}

void UserThreads::State::yield() {
  if (unwinding()) return;
  ready.push_back(*running);
  park();
}

void UserThreads::State::on_worker(const std::function<void()>& job) {
  if (unwinding()) return job();
  Thread& self = *running;
  self.job = &job;
  workers.submit(self);
  park();
  if (self.failure) std::rethrow_exception(std::exchange(self.failure, nullptr));
}

void UserThreads::State::closing(int fd) {
  BAKEOFF_CHECK(interest_in(fd) == Interest::none);  // nobody waits for what is gone
  if (Shared* const one = shared_of(fd)) {
    BAKEOFF_CHECK(one->threads.empty());
    deadlines.clear(key_of(fd, false));
    std::swap(*one, shared.back());
    shared.pop_back();
  }
  for (Shared& one : shared)
    if (one.paused) end_pause(one);
  poller->closing(fd);
}

UserThreads::UserThreads(Settings settings) : state_(std::make_unique<State>(settings)) {}
UserThreads::~UserThreads() = default;

void UserThreads::spawn(std::function<void()> body) { state_->spawn(std::move(body)); }
void UserThreads::run(int stop_fd, std::function<bool()> on_stop) { state_->run(stop_fd, on_stop); }
void UserThreads::end_by(std::int64_t deadline_ms) { state_->end_ms = deadline_ms; }
void UserThreads::wake_readers() { state_->wake_readers(); }

bool UserThreads::wait_readable(int fd, std::int64_t deadline_ms) { return state_->wait(fd, false, deadline_ms); }
void UserThreads::wait_until(int fd, std::int64_t deadline_ms) { state_->wait(fd, false, deadline_ms, true); }
bool UserThreads::wait_writable(int fd, std::int64_t deadline_ms) { return state_->wait(fd, true, deadline_ms); }
void UserThreads::wait_shared(int fd, int wake_most) { state_->wait_shared(fd, wake_most); }
void UserThreads::wake_shared(int fd, int most) { state_->wake_shared(fd, most); }
void UserThreads::pause_shared(int fd, std::int64_t deadline_ms) { state_->pause_shared(fd, deadline_ms); }
void UserThreads::yield() { state_->yield(); }
void UserThreads::on_worker(const std::function<void()>& job) { state_->on_worker(job); }

void UserThreads::closing(int fd) { state_->closing(fd); }

UserThreads::Counters UserThreads::counters() const { return state_->told_counters(); }
void UserThreads::on_turn(std::function<void(const Counters&)> each_turn) { state_->each_turn = std::move(each_turn); }

}  // namespace bakeoff
