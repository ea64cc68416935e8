#include "core/user_threads/thread_stacks.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "tests/catch.h"

using bakeoff::ThreadStacks;

TEST_CASE("there are stacks for 20,000 threads, and they do not overlap") {
  ThreadStacks stacks(64 * 1024);
  std::vector<std::byte*> all(20'000);
  for (std::byte*& stack : all) {
    stack = stacks.take();
    stack[stacks.bytes() - 1] = std::byte{1};
  }
  std::sort(all.begin(), all.end());
  for (std::size_t i = 1; i < all.size(); ++i) REQUIRE(all[i - 1] + stacks.bytes() < all[i]);
}

TEST_CASE("stacks are whole pages and are used again") {
  ThreadStacks stacks(5000);
  CHECK(stacks.bytes() == 8192);
  std::byte* const first = stacks.take();
  std::byte* const second = stacks.take();
  CHECK(first != second);
  stacks.give_back(first);
  CHECK(stacks.take() == first);
}

TEST_CASE("a write below a stack ends the process") {
  ThreadStacks stacks(64 * 1024);
  std::byte* volatile lowest = stacks.take();
  static_cast<void>(stacks.take());
  const auto child_that_writes_to = [](std::byte* where) {
    const pid_t pid = fork();
    if (pid == 0) {
      signal(SIGSEGV, SIG_DFL);  // neither the test framework's nor a sanitizer's
      *where = std::byte{1};
      _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
  };
  CHECK(child_that_writes_to(lowest) == 0);
  const int status = child_that_writes_to(lowest - 1);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV));
}
