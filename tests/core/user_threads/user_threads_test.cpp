#include "core/user_threads/user_threads.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <latch>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/events/deadline_wheel.h"
#include "core/user_threads/fiber_annotations.h"
#include "tests/catch.h"
#include "tests/support/clock.h"

using bakeoff::EventMechanism;
using bakeoff::UserThreads;
using bakeoff::test::now_ms;

namespace {

constexpr std::int64_t never = bakeoff::DeadlineWheel::never;
constexpr std::int64_t long_ago = 1;

EventMechanism each_mechanism() {
  return GENERATE(EventMechanism::epoll, EventMechanism::poll, EventMechanism::select);
}

UserThreads::Settings settings_with(EventMechanism mechanism, int disk_workers = 1, int descriptors = 1024) {
  return {.mechanism = mechanism, .descriptors = descriptors, .disk_workers = disk_workers};
}

// Readable while its count is above zero; each take() takes one away. Serves as a socket that connections arrive at,
// and as what stops a run.
class Tokens {
 public:
  explicit Tokens(unsigned count = 0) : fd_(eventfd(count, EFD_SEMAPHORE | EFD_NONBLOCK)) { REQUIRE(fd_ >= 0); }
  Tokens(const Tokens&) = delete;
  Tokens& operator=(const Tokens&) = delete;
  ~Tokens() { close(fd_); }
  int fd() const { return fd_; }
  void put() const { eventfd_write(fd_, 1); }
  bool take() const {
    eventfd_t one = 0;
    return eventfd_read(fd_, &one) == 0;
  }

 private:
  int fd_;
};

class SocketPair {
 public:
  SocketPair() { REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()) == 0); }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  ~SocketPair() {
    close(ends_[0]);
    close(ends_[1]);
  }
  int operator[](std::size_t end) const { return ends_[end]; }

 private:
  std::array<int, 2> ends_{};
};

bool would_block(ssize_t result) { return result < 0 && errno == EAGAIN; }

std::size_t read_some(UserThreads& threads, int fd, char* into, std::size_t bytes) {
  while (true) {
    const ssize_t got = read(fd, into, bytes);
    if (!would_block(got)) return got < 0 ? 0 : static_cast<std::size_t>(got);
    threads.wait_readable(fd, never);
  }
}

void write_all(UserThreads& threads, int fd, const char* from, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t put = write(fd, from, bytes);
    if (would_block(put)) {
      threads.wait_writable(fd, never);
    } else {
      from += put;
      bytes -= static_cast<std::size_t>(put);
    }
  }
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

template <class Body>
bool aborts(Body body) {
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    signal(SIGABRT, SIG_DFL);  // not the test framework's
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace

TEST_CASE("thousands of user-level threads echo over socket pairs") {
  const std::size_t descriptors = raise_descriptor_limit();
  const std::size_t pairs =
      std::min<std::size_t>({2000, (descriptors - 50) / 2, bakeoff::FiberAnnotations::most_fibers / 2});
  std::vector<SocketPair> sockets(pairs);
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism(), 1, static_cast<int>(2 * pairs + 100)));
  std::size_t echoed = 0;
  for (std::size_t i = 0; i < pairs; ++i) {
    threads.spawn([&, fd = sockets[i][0]] {
      char letters[64];
      while (const std::size_t got = read_some(threads, fd, letters, sizeof letters))
        write_all(threads, fd, letters, got);
      threads.closing(fd);
    });
    threads.spawn([&, i, fd = sockets[i][1]] {
      for (int round = 0; round < 5; ++round) {
        const std::string sent = "message " + std::to_string(round) + " of " + std::to_string(i);
        write_all(threads, fd, sent.data(), sent.size());
        std::string got(sent.size(), '\0');
        for (std::size_t at = 0; at < got.size();) {
          const std::size_t more = read_some(threads, fd, &got[at], got.size() - at);
          if (more == 0) return;
          at += more;
        }
        echoed += got == sent;
      }
      shutdown(fd, SHUT_WR);
      threads.closing(fd);
    });
  }
  threads.run(stop.fd());
  CHECK(echoed == 5 * pairs);
  CHECK(threads.counters().switches > 10 * pairs);
  CHECK(threads.counters().polls < threads.counters().switches);
  CHECK(threads.counters().polled_descriptors > pairs);
}

TEST_CASE("a full socket parks its writer until the reader has read, both directions at once") {
  SocketPair sockets;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  constexpr std::size_t bytes = 2'000'000;
  std::array<std::size_t, 2> received{};
  std::array<bool, 2> right{true, true};
  for (const std::size_t end : {0U, 1U}) {
    threads.spawn([&, end] {
      std::string sent(bytes, ' ');
      for (std::size_t i = 0; i < bytes; ++i) sent[i] = static_cast<char>(i % 251 + end);
      write_all(threads, sockets[end], sent.data(), bytes);
    });
    threads.spawn([&, end] {
      char letters[4096];
      while (received[end] < bytes) {
        const std::size_t got = read_some(threads, sockets[end], letters, sizeof letters);
        for (std::size_t i = 0; i < got; ++i)
          right[end] = right[end] && letters[i] == static_cast<char>((received[end] + i) % 251 + (1 - end));
        received[end] += got;
      }
    });
  }
  threads.run(stop.fd());
  CHECK(received[0] == bytes);
  CHECK(received[1] == bytes);
  CHECK(right[0]);
  CHECK(right[1]);
}

TEST_CASE("a wait ends at its deadline unless the descriptor is ready first") {
  SocketPair silent;
  SocketPair talking;
  SocketPair late;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  std::string told;
  REQUIRE(write(talking[0], "x", 1) == 1);

  threads.spawn([&] {
    if (!threads.wait_readable(silent[0], long_ago)) told += "past ";
    const std::int64_t deadline = now_ms() + 1;
    if (!threads.wait_readable(silent[0], deadline) && now_ms() >= deadline) told += "passed ";
    if (write(late[0], "x", 1) == 1) told += "written ";
  });
  threads.spawn([&] {
    if (threads.wait_readable(talking[1], long_ago)) told += "ready ";  // ready counts, however late one looks
    if (threads.wait_writable(talking[1], never)) told += "writable ";
  });
  threads.spawn([&] {
    // A deadline ends with its wait: it must not end the next one on the same descriptor.
    if (!threads.wait_readable(late[1], long_ago)) told += "late ";
    if (threads.wait_readable(late[1], never)) told += "read ";
  });
  threads.run(stop.fd());
  CHECK(told == "ready past late writable passed written read ");
}

TEST_CASE("a hang-up of the peer ends a wait and keeps nothing spinning") {
  SocketPair sockets;
  SocketPair other;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  bool woken = false;
  threads.spawn([&] {
    shutdown(sockets[0], SHUT_RDWR);
    woken = threads.wait_readable(sockets[1], never);
    // The dead socket stays open while its thread waits for something else.
    threads.wait_readable(other[0], now_ms() + 1);
  });
  threads.run(stop.fd());
  CHECK(woken);
  CHECK(threads.counters().polls < 10);
}

TEST_CASE("worker jobs run at the same time, off the scheduler's kernel thread, without signals") {
  constexpr int workers = 4;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism(), workers));
  std::latch all_there(workers);
  std::counting_semaphore<> released(0);
  const auto scheduler = std::this_thread::get_id();
  int done = 0;
  for (int i = 0; i < workers; ++i)
    threads.spawn([&] {
      bool elsewhere = false;
      bool blocked = false;
      threads.on_worker([&] {
        all_there.arrive_and_wait();  // for ever, were there fewer kernel threads than jobs
        released.acquire();           // and were the scheduler to wait for a job
        elsewhere = std::this_thread::get_id() != scheduler;
        sigset_t mask;
        pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGINT) == 1;
      });
      done += elsewhere && blocked && std::this_thread::get_id() == scheduler;
    });
  threads.spawn([&] { released.release(workers); });
  threads.run(stop.fd());
  CHECK(done == workers);
  CHECK(threads.counters().workers.jobs == workers);
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  CHECK(sigismember(&mask, SIGTERM) == 0);
}

TEST_CASE("one worker runs the jobs in the order of the calls") {
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism(), 1));
  std::vector<int> order;
  for (int i = 0; i < 200; ++i)
    threads.spawn([&, i] {
      for (int round = 0; round < 5; ++round) threads.on_worker([&] { order.push_back(round * 1000 + i); });
    });
  threads.run(stop.fd());
  REQUIRE(order.size() == 1000);
  for (int round = 0; round < 5; ++round) {
    std::vector<int> of_round;
    std::copy_if(order.begin(), order.end(), std::back_inserter(of_round),
                 [&](int job) { return job / 1000 == round; });
    CHECK(of_round.size() == 200);
    CHECK(std::is_sorted(of_round.begin(), of_round.end()));
  }
}

TEST_CASE("the workers' results wake a scheduler that sleeps, thousands of times") {
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism(), 3));
  std::atomic<int> jobs{0};
  for (int i = 0; i < 4; ++i)
    threads.spawn([&] {
      for (int round = 0; round < 2000; ++round) threads.on_worker([&] { ++jobs; });
    });
  threads.run(stop.fd());
  CHECK(jobs == 8000);
}

TEST_CASE("a ready shared descriptor wakes as many of its waiters as asked for, first come, first served") {
  const EventMechanism mechanism = each_mechanism();
  struct Expected {
    int wake_most;
    std::vector<int> woken;  // with three tokens for six waiters
  };
  const Expected expected = GENERATE(Expected{1, {0, 1, 2}}, Expected{2, {0, 1, 2, 3}}, Expected{5, {0, 1, 2, 3, 4}},
                                     Expected{0, {0, 1, 2, 3, 4, 5}});
  Tokens arrived(3);
  Tokens stop;
  UserThreads threads(settings_with(mechanism));
  std::vector<int> woken;
  int taken = 0;
  for (int i = 0; i < 6; ++i)
    threads.spawn([&, i] {
      while (true) {
        threads.wait_shared(arrived.fd(), expected.wake_most);
        woken.push_back(i);
        if (arrived.take()) break;
      }
      if (++taken == 3) stop.put();
    });
  threads.run(stop.fd());
  CHECK(taken == 3);
  CHECK(woken == expected.woken);
}

TEST_CASE("who found nothing at a shared descriptor waits behind the others") {
  Tokens arrived(1);
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  std::vector<int> takers;
  for (int i = 0; i < 3; ++i)
    threads.spawn([&, i] {
      while (true) {
        threads.wait_shared(arrived.fd(), 2);
        if (!arrived.take()) continue;
        takers.push_back(i);
        if (takers.size() == 4)
          stop.put();
        else
          arrived.put();
      }
    });
  threads.run(stop.fd());
  // Woken two by two: 0 and 1 of (0 1 2); both find a token, as the first puts one back; then 2 and 0.
  CHECK(takers == std::vector<int>{0, 1, 2, 0});
}

TEST_CASE("who leaves more behind at a shared descriptor wakes the next himself, in order") {
  Tokens arrived(6);
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  std::vector<int> takers;
  std::vector<std::uint64_t> at_poll;
  for (int i = 0; i < 6; ++i)
    threads.spawn([&, i] {
      threads.wait_shared(arrived.fd(), 1);
      if (!arrived.take()) return;
      takers.push_back(i);
      at_poll.push_back(threads.counters().polls);
      threads.wake_shared(arrived.fd(), i == 0 ? 2 : 0);  // 0 wakes 1 and 2; 1 wakes 4 and 5
    });
  threads.run(stop.fd());
  CHECK(takers == std::vector<int>{0, 1, 2, 3, 4, 5});
  // The second poll finds the descriptor ready too and adds 3 behind the two that 0 has woken.
  CHECK(at_poll == std::vector<std::uint64_t>{1, 2, 2, 2, 3, 3});
}

TEST_CASE("connections in progress run before new ones are taken") {
  Tokens arrived(1);  // watched first, and with the lowest descriptor
  SocketPair connection;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  std::string order;
  threads.spawn([&] {
    threads.wait_shared(arrived.fd(), 1);
    order += "new ";
  });
  threads.spawn([&] {
    threads.wait_readable(connection[0], never);
    order += "old ";
  });
  REQUIRE(write(connection[1], "x", 1) == 1);
  threads.run(stop.fd());
  CHECK(order == "old new ");
}

TEST_CASE("policy A accepts before it serves, policy C serves before it accepts") {
  const bool newcomers_first = GENERATE(true, false);
  Tokens arrived(3);
  SocketPair connections[2];
  Tokens stop;
  UserThreads::Settings settings = settings_with(each_mechanism());
  settings.newcomers_first = newcomers_first;
  UserThreads threads(settings);
  std::string order;
  int ended = 0;
  const auto serve = [&](const char* who) {
    order += who;
    if (++ended == 5) stop.put();
  };
  // As Knot's threads: accept, wake the next, serve. Under policy A whoever has accepted lets the others accept first.
  for (int i = 0; i < 4; ++i)
    threads.spawn([&] {
      threads.wait_shared(arrived.fd(), 1);
      if (!arrived.take()) return;
      order += "accept ";
      threads.wake_shared(arrived.fd(), 1);
      if (newcomers_first) threads.yield();
      serve("new ");
    });
  for (int i = 0; i < 2; ++i)
    threads.spawn([&, i] {
      threads.wait_readable(connections[i][0], never);
      serve("old ");
    });
  for (const SocketPair& connection : connections) REQUIRE(write(connection[1], "x", 1) == 1);
  threads.run(stop.fd());
  CHECK(order.substr(0, 8) == (newcomers_first ? "accept a" : "old old "));
  CHECK(order ==
        (newcomers_first ? "accept accept accept old old new new new " : "old old accept new accept new accept new "));
}

TEST_CASE("a shared descriptor that nobody waits for keeps nothing spinning") {
  Tokens arrived(1);
  SocketPair connection;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  threads.spawn([&] {
    threads.wait_shared(arrived.fd(), 1);
    threads.wait_readable(connection[0], now_ms() + 1);  // the token stays
  });
  threads.run(stop.fd());
  CHECK(threads.counters().polls < 10);
}

TEST_CASE("a shared descriptor that is paused keeps nothing spinning, until its time or until something is closed") {
  const bool closes = GENERATE(false, true);
  Tokens arrived(1);
  SocketPair connection;
  SocketPair other;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  bool paused = false;
  bool went_on_paused = true;
  for (int i = 0; i < 3; ++i)
    threads.spawn([&] {
      threads.wait_shared(arrived.fd(), 1);
      if (std::exchange(paused, true)) {
        stop.put();
        return;
      }
      threads.pause_shared(arrived.fd(), closes ? never : now_ms() + 100);
      threads.wake_shared(arrived.fd(), 1);  // nobody while it is paused
      threads.wait_readable(connection[0], now_ms() + 20);
      went_on_paused = false;
      if (closes) threads.closing(other[0]);
      threads.wait_readable(connection[1], never);
    });
  threads.run(stop.fd());
  CHECK_FALSE(went_on_paused);
  CHECK(threads.counters().polls < 20);
}

TEST_CASE("stopping unwinds every parked thread") {
  Tokens arrived;
  SocketPair sockets;
  SocketPair full;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism(), 1));
  int unwound = 0;
  int went_on = 0;
  struct Guard {
    UserThreads& threads;
    int fd;
    int& unwound;
    ~Guard() {
      // Neither call may park any more.
      bool ran = false;
      threads.on_worker([&] { ran = true; });
      if (ran && !threads.wait_readable(fd, never)) ++unwound;
      threads.closing(fd);
    }
  };
  while (write(full[0], "some letters", 12) > 0) continue;

  for (int i = 0; i < 3; ++i)
    threads.spawn([&] {
      const Guard guard{threads, arrived.fd(), unwound};
      threads.wait_shared(arrived.fd(), 0);
      ++went_on;
    });
  threads.spawn([&] {
    const Guard guard{threads, sockets[0], unwound};
    threads.wait_readable(sockets[0], now_ms() + 1'000'000);
    ++went_on;
  });
  threads.spawn([&] {
    const Guard guard{threads, full[0], unwound};
    threads.wait_writable(full[0], never);
    ++went_on;
  });
  threads.spawn([&] {
    const Guard guard{threads, sockets[1], unwound};
    try {
      threads.wait_readable(sockets[1], never);
    } catch (...) {
      // A body that swallows everything is thrown out of its next wait.
    }
    threads.wait_readable(sockets[1], never);
    ++went_on;
  });
  bool job_done = false;
  threads.spawn([&] {
    const Guard guard{threads, full[1], unwound};
    threads.on_worker([&] {
      stop.put();
      for (int i = 0; i < 1000; ++i) std::this_thread::yield();
      job_done = true;  // what a worker runs when the stop comes, it finishes: it may use the stack of its thread
    });
    threads.wait_readable(full[1], never);  // reached only if the job was done just before the stop was seen
    ++went_on;
  });
  threads.run(stop.fd());
  CHECK(job_done);
  CHECK(unwound == 7);
  CHECK(went_on == 0);
}

TEST_CASE("threads that never ran are dropped, and their bodies destroyed") {
  const auto held = std::make_shared<int>(0);
  Tokens stop(1);
  {
    UserThreads threads(settings_with(EventMechanism::epoll));
    threads.spawn([held] { ++*held; });
    CHECK(held.use_count() == 2);
  }
  CHECK(held.use_count() == 1);
  {
    UserThreads threads(settings_with(EventMechanism::epoll));
    threads.spawn([held, &threads] {
      ++*held;
      threads.spawn([held] { *held += 100; });  // would run in the next turn, yet the stop comes first
    });
    threads.run(stop.fd());
  }
  CHECK(held.use_count() == 1);
  CHECK(*held == 1);
}

TEST_CASE("a scheduler runs again, and threads may make threads") {
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  int ran = 0;
  for (int time = 0; time < 3; ++time) {
    threads.spawn([&] {
      for (int i = 0; i < 100; ++i)
        threads.spawn([&] {
          threads.on_worker([] {});
          ++ran;
        });
    });
    threads.run(stop.fd());
    CHECK(ran == 100 * (time + 1));
  }
}

TEST_CASE("20,000 threads park and all wake") {
  const std::size_t count = std::min<std::size_t>(20'000, bakeoff::FiberAnnotations::most_fibers);
  Tokens arrived;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  std::size_t woken = 0;
  for (std::size_t i = 0; i < count; ++i)
    threads.spawn([&] {
      threads.wait_shared(arrived.fd(), 0);
      ++woken;
    });
  threads.spawn([&] { arrived.put(); });
  threads.run(stop.fd());
  CHECK(woken == count);
}

TEST_CASE("a parked thread has touched little of its stack") {
  Tokens arrived;
  Tokens stop;
  UserThreads threads(settings_with(EventMechanism::epoll));
  char* top = nullptr;
  for (int i = 0; i < 2; ++i)
    threads.spawn([&] {
      char here = 0;
      top = &here;
      threads.wait_shared(arrived.fd(), 0);
    });
  std::size_t touched = 0;
  threads.spawn([&] {
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    constexpr std::size_t pages = 16;
    const std::uintptr_t last_page = reinterpret_cast<std::uintptr_t>(top) / page * page;
    std::array<unsigned char, pages> resident{};
    REQUIRE(mincore(reinterpret_cast<void*>(last_page - (pages - 1) * page), pages * page, resident.data()) == 0);
    touched = static_cast<std::size_t>(std::count(resident.begin(), resident.end(), 1));
    stop.put();
  });
  threads.run(stop.fd());
  CHECK(touched >= 1);
  CHECK(touched <= 2);
}

TEST_CASE("what a body throws ends all threads, and is thrown by run()") {
  SocketPair sockets;
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  int unwound = 0;
  struct Unwound {
    int& count;
    ~Unwound() { ++count; }
  };
  threads.spawn([&] {
    const Unwound self{unwound};
    threads.wait_readable(sockets[0], never);
  });
  threads.spawn([] { throw std::runtime_error("thrown by a body"); });
  CHECK_THROWS_WITH(threads.run(stop.fd()), "thrown by a body");
  CHECK(unwound == 1);
}

TEST_CASE("what a job throws is thrown where it was asked for, and no other thread is the worse for it") {
  Tokens stop;
  UserThreads threads(settings_with(each_mechanism()));
  int caught = 0;
  int done = 0;
  for (int i = 0; i < 10; ++i)
    threads.spawn([&, i] {
      bool failed = false;
      try {
        threads.on_worker([i] {
          if (i % 2 == 0) throw std::bad_alloc();
        });
      } catch (const std::bad_alloc&) {
        failed = true;
      }
      caught += failed;
      ++done;
    });
  threads.run(stop.fd());
  CHECK(caught == 5);
  CHECK(done == 10);
}

TEST_CASE("misuse of user-level threads ends the process") {
  SocketPair sockets;
  Tokens stop;
  const auto run_in_child = [&](auto body) {
    return aborts([&] {
      UserThreads threads(settings_with(EventMechanism::epoll));
      threads.spawn([&] { body(threads); });
      threads.spawn([&] { body(threads); });
      threads.run(stop.fd());
    });
  };
  SECTION("two threads waiting for the same") {
    CHECK(run_in_child([&](UserThreads& threads) { threads.wait_readable(sockets[0], never); }));
  }
  SECTION("a descriptor out of bounds") {
    CHECK(run_in_child([&](UserThreads& threads) { threads.wait_readable(5000, never); }));
  }
  SECTION("parking outside a user-level thread") {
    CHECK(aborts([&] {
      UserThreads threads(settings_with(EventMechanism::epoll));
      threads.wait_readable(sockets[0], never);
    }));
  }
}

TEST_CASE("yield lets all that are ready run first", "[user_threads]") {
  UserThreads threads(settings_with(EventMechanism::epoll));
  const Tokens never_stops;
  std::string order;
  for (const char name : {'a', 'b', 'c'}) {
    threads.spawn([&threads, &order, name] {
      for (int turn = 0; turn < 3; ++turn) {
        order += name;
        threads.yield();
      }
    });
  }
  threads.run(never_stops.fd());
  CHECK(order == "abcabcabc");
}

TEST_CASE("a thread that only ever yields can be stopped, and its stack is unwound", "[user_threads]") {
  UserThreads threads(settings_with(EventMechanism::epoll));
  const Tokens stops(1);
  int unwound = 0;
  struct Count {
    int& count;
    ~Count() { ++count; }
  };
  for (int i = 0; i < 3; ++i) {
    threads.spawn([&] {
      const Count at_the_end{unwound};
      for (;;) threads.yield();
    });
  }
  threads.run(stops.fd());
  CHECK(unwound == 3);
}
