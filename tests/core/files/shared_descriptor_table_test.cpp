#include "core/files/shared_descriptor_table.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "core/sharing/lock.h"
#include "tests/catch.h"
#include "tests/core/processes.h"
#include "tests/core/server_bench.h"

using namespace bakeoff;
using namespace bakeoff::test;

namespace {

// Workers 1 and 2, and a parent that looks after them.
struct Office {
  Office()
      : bench(
            [] {
              Options options = bench_options();
              options.workers = 2;
              options.body = BodyKind::sendfile;
              return options;
            }(),
            Sharing::processes) {
    ProcessLock::register_process();
    descriptors().adopt_open_descriptors();
  }

  SharedDescriptorTable& descriptors() { return bench.server.shared_descriptors(); }

  template <class Body>
  Process worker(int number, Body body) {
    return Process([&] {
      ProcessLock::register_process();
      descriptors().i_am(number);
      body();
      wait_to_be_killed();
      return 0;
    });
  }

  Bench bench;
};

struct Board {
  std::atomic<int> step{0};
  std::atomic<int> step_of_other{0};
  std::atomic<int> fd{-1};
  std::atomic<int> fd_of_other{-1};
};

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

void let_parent_hold_me() {
  ::ptrace(PTRACE_TRACEME);
  ::raise(SIGSTOP);
}

// Lets the worker run into or out of the call that closes fd, and no further until it is detached or killed.
void hold_in_close(const Process& worker, int fd, int where) {
  bool inside = false;
  for (;;) {
    int status = 0;
    REQUIRE(::waitpid(worker.pid(), &status, WUNTRACED) == worker.pid());
    REQUIRE(WIFSTOPPED(status));
    ::ptrace(PTRACE_SETOPTIONS, worker.pid(), nullptr, PTRACE_O_TRACESYSGOOD);
    __ptrace_syscall_info call{};
    const long known = ::ptrace(PTRACE_GET_SYSCALL_INFO, worker.pid(), sizeof call, &call);
    INFO("a process may trace its children");
    REQUIRE(known > 0);
    if (call.op == PTRACE_SYSCALL_INFO_ENTRY)
      inside = call.entry.nr == SYS_close && call.entry.args[0] == static_cast<std::uint64_t>(fd);
    if (inside && call.op == where) return;
    REQUIRE(::ptrace(PTRACE_SYSCALL, worker.pid(), nullptr, nullptr) == 0);
  }
}

int open_noted(SharedDescriptorTable& table) {
  const DescriptorTable::Window window(table);
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  table.note(fd);
  return fd;
}

}  // namespace

TEST_CASE("what a dead worker had noted is closed, and nothing else") {
  Office office;
  const Shared<Board> board;
  const int forgotten = ::eventfd(0, EFD_CLOEXEC);  // neither noted nor adopted, yet opened before the death
  office.descriptors().note_cached(forgotten, 0);
  Process dead = office.worker(1, [&] {
    board->fd = open_noted(office.descriptors());
    const int given_up = open_noted(office.descriptors());
    office.descriptors().close(given_up);
    board->step = 1;
  });
  spin_until([&] { return board->step == 1; });
  Process alive = office.worker(2, [&] {
    board->fd_of_other = open_noted(office.descriptors());
    board->step = 2;
  });
  spin_until([&] { return board->step == 2; });
  const std::ptrdiff_t before = open_descriptors();
  dead.kill_and_reap();
  office.descriptors().give_back(1, *office.bench.server.shared_cache());
  CHECK(office.descriptors().sweep_strays());
  CHECK_FALSE(is_open(board->fd));
  CHECK(is_open(board->fd_of_other));
  CHECK(is_open(office.bench.worker.listener.fd()));
  CHECK(is_open(forgotten));
  CHECK(open_descriptors() == before - 1);
  alive.kill_and_reap();
  office.descriptors().give_back(2, *office.bench.server.shared_cache());
  CHECK_FALSE(is_open(board->fd_of_other));
  ::close(forgotten);
}

TEST_CASE("what a dead worker had opened and not yet noted is closed") {
  Office office;
  const Shared<Board> board;
  office.bench.write("/a", 10);
  const bool file = GENERATE(true, false);
  Process dead = office.worker(1, [&] {
    const DescriptorTable::Window window(office.descriptors());
    board->fd = file ? office.bench.server.root().open("/a").fd : ::eventfd(0, EFD_CLOEXEC);
    board->step = 1;
    wait_to_be_killed();
  });
  spin_until([&] { return board->step == 1; });
  REQUIRE(is_open(board->fd));
  dead.kill_and_reap();
  office.descriptors().give_back(1, *office.bench.server.shared_cache());
  CHECK(office.descriptors().sweep_strays());
  CHECK_FALSE(is_open(board->fd));
}

TEST_CASE("what a living worker is about to note is left to it") {
  Office office;
  const Shared<Board> board;
  Process dead = office.worker(1, [&] { board->step = 1; });
  spin_until([&] { return board->step == 1; });
  Process alive = office.worker(2, [&] {
    {
      const DescriptorTable::Window window(office.descriptors());
      board->fd = ::eventfd(0, EFD_CLOEXEC);
      board->step_of_other = 1;
      spin_until([&] { return board->step == 2; });
      office.descriptors().note(board->fd);
    }
    board->step_of_other = 2;
  });
  spin_until([&] { return board->step_of_other == 1; });
  dead.kill_and_reap();
  office.descriptors().give_back(1, *office.bench.server.shared_cache());
  CHECK_FALSE(office.descriptors().sweep_strays());
  CHECK_FALSE(office.descriptors().sweep_strays());
  board->step = 2;
  spin_until([&] { return board->step_of_other == 2; });
  CHECK(office.descriptors().sweep_strays());
  CHECK(is_open(board->fd));
}

TEST_CASE("a living worker that opens the same file under the same number again is no stray") {
  Office office;
  office.bench.write("/a", 10);
  const Shared<Board> board;
  Process dead = office.worker(1, [&] { board->step = 1; });
  spin_until([&] { return board->step == 1; });
  Process alive = office.worker(2, [&] {
    {
      const DescriptorTable::Window window(office.descriptors());
      board->fd = office.bench.server.root().open("/a").fd;
      board->step_of_other = 1;
      spin_until([&] { return board->step == 2; });
      ::close(board->fd);
    }
    const DescriptorTable::Window window(office.descriptors());
    board->fd_of_other = office.bench.server.root().open("/a").fd;
    board->step_of_other = 2;
    wait_to_be_killed();
  });
  spin_until([&] { return board->step_of_other == 1; });
  dead.kill_and_reap();
  office.descriptors().give_back(1, *office.bench.server.shared_cache());
  board->step = 2;
  spin_until([&] { return board->step_of_other == 2; });
  REQUIRE(board->fd == board->fd_of_other);
  CHECK(office.descriptors().sweep_strays());
  CHECK(is_open(board->fd));
  // When that one dies too, it is one.
  alive.kill_and_reap();
  office.descriptors().give_back(2, *office.bench.server.shared_cache());
  CHECK(office.descriptors().sweep_strays());
  CHECK_FALSE(is_open(board->fd));
}

// The gap is as long as a time slice when the worker is taken off the processor in it; here it is held there.
TEST_CASE("a descriptor that a living worker is about to close is not closed by another") {
  Office office;
  office.bench.write("/a", 10);
  const Shared<Board> board;
  Process dead = office.worker(1, [&] { board->step = 1; });
  spin_until([&] { return board->step == 1; });
  Process alive = office.worker(2, [&] {
    {
      const DescriptorTable::Window window(office.descriptors());
      board->fd = office.bench.server.root().open("/a").fd;
      board->step_of_other = 1;
      spin_until([&] { return board->step == 2; });
      office.descriptors().note(board->fd);
    }
    let_parent_hold_me();
    office.descriptors().close(board->fd);
    board->step_of_other = 2;
  });
  spin_until([&] { return board->step_of_other == 1; });
  dead.kill_and_reap();
  office.descriptors().give_back(1, *office.bench.server.shared_cache());
  board->step = 2;
  hold_in_close(alive, board->fd, PTRACE_SYSCALL_INFO_ENTRY);
  CHECK(office.descriptors().sweep_strays());
  CHECK(is_open(board->fd));
  REQUIRE(::ptrace(PTRACE_DETACH, alive.pid(), nullptr, nullptr) == 0);
  spin_until([&] { return board->step_of_other == 2; });
  CHECK_FALSE(is_open(board->fd));
}

TEST_CASE(
    "of a worker killed in the middle of a close, what is open still is closed, and the number's next holder keeps "
    "it") {
  Office office;
  const Shared<Board> board;
  const bool closed_already = GENERATE(true, false);
  Process dead = office.worker(1, [&] {
    board->fd = open_noted(office.descriptors());
    board->step = 1;
    let_parent_hold_me();
    office.descriptors().close(board->fd);
  });
  spin_until([&] { return board->step == 1; });
  hold_in_close(dead, board->fd, closed_already ? PTRACE_SYSCALL_INFO_EXIT : PTRACE_SYSCALL_INFO_ENTRY);
  REQUIRE(is_open(board->fd) != closed_already);
  Process alive = office.worker(2, [&] {
    board->fd_of_other = open_noted(office.descriptors());
    board->step_of_other = 1;
  });
  spin_until([&] { return board->step_of_other == 1; });
  REQUIRE((board->fd_of_other == board->fd) == closed_already);
  dead.kill_and_reap();
  office.descriptors().give_back(1, *office.bench.server.shared_cache());
  CHECK(office.descriptors().sweep_strays());
  CHECK(is_open(board->fd_of_other));
  CHECK(is_open(board->fd) == closed_already);
}

TEST_CASE("what a dead worker opened under a number that another is done closing is closed") {
  Office office;
  const Shared<Board> board;
  Process alive = office.worker(2, [&] {
    board->fd = open_noted(office.descriptors());
    board->step = 1;
    let_parent_hold_me();
    office.descriptors().close(board->fd);
    board->step = 2;
  });
  spin_until([&] { return board->step == 1; });
  hold_in_close(alive, board->fd, PTRACE_SYSCALL_INFO_EXIT);
  Process dead = office.worker(1, [&] {
    const DescriptorTable::Window window(office.descriptors());
    board->fd_of_other = ::eventfd(0, EFD_CLOEXEC);
    board->step_of_other = 1;
    wait_to_be_killed();
  });
  spin_until([&] { return board->step_of_other == 1; });
  REQUIRE(board->fd_of_other == board->fd);
  dead.kill_and_reap();
  office.descriptors().give_back(1, *office.bench.server.shared_cache());
  CHECK_FALSE(office.descriptors().sweep_strays());  // the other is not done yet
  CHECK(is_open(board->fd));
  REQUIRE(::ptrace(PTRACE_DETACH, alive.pid(), nullptr, nullptr) == 0);
  spin_until([&] { return board->step == 2; });
  CHECK(office.descriptors().sweep_strays());
  CHECK_FALSE(is_open(board->fd));
}

TEST_CASE("a worker's number begins outside any window, whatever its last holder died in") {
  Office office;
  const Shared<Board> board;
  for (int round = 0; round < 3; ++round) {
    board->step = 0;
    Process dead = office.worker(1, [&] {
      const DescriptorTable::Window outer(office.descriptors());
      const DescriptorTable::Window inner(office.descriptors());
      board->step = 1;
      wait_to_be_killed();
    });
    spin_until([&] { return board->step == 1; });
    dead.kill_and_reap();
    office.descriptors().give_back(1, *office.bench.server.shared_cache());
    CHECK(office.descriptors().sweep_strays());
  }
}

TEST_CASE("the pins of a dead worker's connections are given back") {
  Office office;
  FileCache& cache = *office.bench.server.shared_cache();
  office.bench.write("/a", 5000);
  const Shared<Board> board;
  Process dead = office.worker(1, [&] {
    board->fd = open_noted(office.descriptors());
    board->fd_of_other = open_noted(office.descriptors());
    if (cache.load("/a", 0, office.descriptors().pin_of(board->fd)) != 200) return;
    if (cache.find("/a", 0, office.descriptors().pin_of(board->fd_of_other))) board->step = 1;
  });
  spin_until([&] { return board->step == 1; });
  const std::ptrdiff_t before = open_descriptors();
  cache.evict(100);
  CHECK(open_descriptors() == before);  // pinned
  dead.kill_and_reap();
  office.descriptors().give_back(1, cache);
  CHECK(office.descriptors().sweep_strays());
  CHECK(open_descriptors() == before - 2);
  CHECK(office.descriptors().pin_of(board->fd).file == nullptr);
  CHECK(office.descriptors().pin_of(board->fd_of_other).file == nullptr);
  cache.evict(100);
  CHECK(open_descriptors() == before - 3);
}

TEST_CASE("a pin of what lay in the dead worker's own memory is dropped, and its descriptor closed") {
  Options options = bench_options();
  options.workers = 1;
  options.body = BodyKind::uncached;  // nothing is kept: each connection has an entry of its own
  Bench bench(options, Sharing::processes);
  ProcessLock::register_process();
  SharedDescriptorTable& table = bench.server.shared_descriptors();
  table.adopt_open_descriptors();
  bench.write("/a", 5000);
  const Shared<Board> board;
  const std::ptrdiff_t before = open_descriptors();
  Process dead([&] {
    ProcessLock::register_process();
    table.i_am(1);
    board->fd = open_noted(table);
    if (bench.server.shared_cache()->load("/a", 0, table.pin_of(board->fd)) == 200) board->step = 1;
    wait_to_be_killed();
    return 0;
  });
  spin_until([&] { return board->step == 1; });
  CHECK(open_descriptors() == before + 2);
  dead.kill_and_reap();
  table.give_back(1, *bench.server.shared_cache());
  CHECK(table.sweep_strays());
  CHECK(table.pin_of(board->fd).file == nullptr);
  CHECK(open_descriptors() == before);
}
