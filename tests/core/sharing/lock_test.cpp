#include "core/sharing/lock.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <new>
#include <string>
#include <thread>

#include "tests/catch.h"
#include "tests/core/processes.h"

using bakeoff::Lock;
using bakeoff::ProcessLock;

namespace {

// As shared-SYMPED makes its processes: they share the descriptors, nothing else.
template <class Body>
pid_t make_process(Body body) {
  const long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) {
    const int status = body();
    syscall(SYS_exit_group, status);  // nothing of the parent's is flushed or destroyed
  }
  REQUIRE(pid > 0);
  return static_cast<pid_t>(pid);
}

int wait_for(pid_t pid) {
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return status;
}

bool ended_well(pid_t pid) {
  const int status = wait_for(pid);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool tripped_a_check(pid_t pid) {
  const int status = wait_for(pid);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

void kill_and_reap(pid_t pid) {
  REQUIRE(kill(pid, SIGKILL) == 0);
  const int status = wait_for(pid);
  REQUIRE(WIFSIGNALED(status));
}

void spin_until(const std::atomic<int>& flag, int value) {
  while (flag.load() != value) sched_yield();
}

bool is_asleep(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  return line.substr(line.rfind(')') + 2, 1) == "S";
}

}  // namespace

TEST_CASE("a process lock lets one process at a time in") {
  struct Shop {
    ProcessLock lock;
    long counter = 0;
    std::atomic<int> go{0};
  };
  bakeoff::test::Shared<Shop> shop;
  constexpr int processes = 4;
  constexpr int rounds = 20'000;
  std::array<pid_t, processes> pids{};
  for (pid_t& pid : pids)
    pid = make_process([&] {
      ProcessLock::register_process();
      spin_until(shop->go, 1);
      for (int i = 0; i < rounds; ++i) {
        if (shop->lock.lock() != Lock::Taken::clean) return 1;
        const long before = shop->counter;
        if (i % 64 == 0) sched_yield();  // so that the others meet it held
        shop->counter = before + 1;
        shop->lock.unlock();
      }
      return 0;
    });
  shop->go = 1;
  for (const pid_t pid : pids) CHECK(ended_well(pid));
  CHECK(shop->counter == processes * rounds);
}

TEST_CASE("an uncontended process lock makes no system call") {
  bakeoff::test::Shared<ProcessLock> lock;
  const pid_t pid = make_process([&] {
    ProcessLock::register_process();
    for (int i = 0; i < 1000; ++i) {
      lock->lock();
      lock->unlock();
      // From here on the kernel kills it for almost any call. The first turn is for the sanitizers, which look at a
      // type that they meet for the first time with calls of their own.
      if (i == 0) prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    }
    syscall(SYS_exit, 0);
    return 1;
  });
  CHECK(ended_well(pid));
}

TEST_CASE("a process lock tells once that its holder was killed") {
  struct Shop {
    ProcessLock one;
    ProcessLock two;
    ProcessLock given_back;
    std::atomic<int> held{0};
  };
  bakeoff::test::Shared<Shop> shop;
  ProcessLock::register_process();
  for (int round = 0; round < 50; ++round) {
    shop->held = 0;
    const pid_t pid = make_process([&] {
      ProcessLock::register_process();
      shop->given_back.lock();
      shop->one.lock();
      shop->two.lock();
      shop->given_back.unlock();  // not the last one taken
      shop->held = 1;
      bakeoff::test::wait_to_be_killed();
      return 0;
    });
    spin_until(shop->held, 1);
    kill_and_reap(pid);
    CHECK(shop->one.lock() == Lock::Taken::abandoned);
    CHECK(shop->two.lock() == Lock::Taken::abandoned);
    CHECK(shop->given_back.lock() == Lock::Taken::clean);
    shop->one.unlock();
    shop->two.unlock();
    shop->given_back.unlock();
    CHECK(shop->one.lock() == Lock::Taken::clean);
    shop->one.unlock();
  }
}

TEST_CASE("the death of a holder wakes those that sleep for the lock") {
  struct Shop {
    ProcessLock lock;
    std::atomic<int> held{0};
    std::atomic<int> abandoned{0};
  };
  bakeoff::test::Shared<Shop> shop;
  const pid_t holder = make_process([&] {
    ProcessLock::register_process();
    shop->lock.lock();
    shop->held = 1;
    bakeoff::test::wait_to_be_killed();
    return 0;
  });
  spin_until(shop->held, 1);
  std::array<pid_t, 3> waiters{};
  for (pid_t& pid : waiters)
    pid = make_process([&] {
      ProcessLock::register_process();
      if (shop->lock.lock() == Lock::Taken::abandoned) ++shop->abandoned;
      shop->lock.unlock();
      return 0;
    });
  for (const pid_t pid : waiters)
    while (!is_asleep(pid)) sched_yield();
  kill_and_reap(holder);
  for (const pid_t pid : waiters) CHECK(ended_well(pid));
  CHECK(shop->abandoned == 1);  // the first one; it leaves a sound lock
}

TEST_CASE("processes killed at any moment leave the others going") {
  struct Shop {
    ProcessLock lock;
    volatile long left = 0;  // equal to right whenever the lock is free and was not abandoned
    volatile long right = 0;
    std::atomic<long> turns{0};
    std::atomic<int> torn{0};
    std::atomic<int> abandoned{0};
  };
  bakeoff::test::Shared<Shop> shop;
  const auto work = [&] {
    ProcessLock::register_process();
    while (true) {
      if (shop->lock.lock() == Lock::Taken::abandoned) {
        ++shop->abandoned;
        shop->right = shop->left;
      }
      if (shop->left != shop->right) ++shop->torn;
      shop->left = shop->left + 1;
      for (int i = 0; i < 200; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
      shop->right = shop->right + 1;
      shop->lock.unlock();
      ++shop->turns;
    }
    return 0;
  };
  std::array<pid_t, 4> pids{};
  for (pid_t& pid : pids) pid = make_process(work);

  bool all_went_on = true;
  for (int round = 0; round < 200 && all_went_on; ++round) {
    pid_t& victim = pids[static_cast<std::size_t>(round) % pids.size()];
    kill_and_reap(victim);
    victim = make_process(work);
    const long before = shop->turns;
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (shop->turns < before + 5 && all_went_on) {
      all_went_on = std::chrono::steady_clock::now() < give_up;
      sched_yield();
    }
  }
  for (const pid_t pid : pids) kill_and_reap(pid);
  CHECK(all_went_on);
  CHECK(shop->torn == 0);
  CHECK(shop->abandoned > 0);  // else no kill met a holder and the test has shown nothing
}

TEST_CASE("misuse of a process lock trips a check") {
  bakeoff::test::Shared<ProcessLock> lock;
  ProcessLock::register_process();
  const auto misuse = [&](auto body) {
    return tripped_a_check(make_process([&] {
      syscall(SYS_unshare, CLONE_FILES);  // its own table, so that the parent keeps its standard error
      dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
      signal(SIGABRT, SIG_DFL);  // not the test framework's
      body();
      return 0;
    }));
  };
  SECTION("a child of a registered process that did not register itself") {
    CHECK(misuse([&] { lock->lock(); }));
  }
  SECTION("a thread that did not register") {
    CHECK(misuse([&] {
      ProcessLock::register_process();
      std::thread([&] { lock->lock(); }).join();
    }));
  }
  SECTION("taken twice") {
    CHECK(misuse([&] {
      ProcessLock::register_process();
      lock->lock();
      lock->lock();
    }));
  }
  SECTION("given back without having been taken") {
    CHECK(misuse([&] {
      ProcessLock::register_process();
      lock->unlock();
    }));
  }
  SECTION("given back by another process") {
    lock->lock();
    CHECK(misuse([&] {
      ProcessLock::register_process();
      lock->unlock();
    }));
    lock->unlock();
  }
}

TEST_CASE("a thread lock lets one thread at a time in") {
  bakeoff::ThreadLock lock;
  long counter = 0;
  const auto work = [&] {
    for (int i = 0; i < 20'000; ++i) {
      lock.lock();
      ++counter;
      lock.unlock();
    }
  };
  std::thread other(work);
  work();
  other.join();
  CHECK(counter == 40'000);
}
