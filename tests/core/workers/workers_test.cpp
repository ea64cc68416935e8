#include "core/workers/workers.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/core/processes.h"
#include "tests/core/server_bench.h"

namespace {

// How many of the next forks fail, here and in every process that comes from here.
std::atomic<int>* forks_that_fail = nullptr;

}  // namespace

// In place of the C library's, which it calls.
extern "C" pid_t fork() {
  if (forks_that_fail != nullptr && forks_that_fail->load() > 0) {
    --*forks_that_fail;
    errno = EAGAIN;
    return -1;
  }
  static const auto real = reinterpret_cast<pid_t (*)()>(::dlsym(RTLD_NEXT, "fork"));
  return real();
}

using namespace bakeoff;
using namespace bakeoff::test;

namespace {

struct Board {
  std::array<std::atomic<pid_t>, 4> pids{};
  std::atomic<int> begun{0};
  std::atomic<int> forks_that_fail{0};
};

// A whole server process of its own, with what it says on stdout and stderr.
class ServerProcess {
 public:
  template <class Serve>
  explicit ServerProcess(Sharing sharing, Serve serve) {
    int out[2];
    int error[2];
    REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(error, O_CLOEXEC) == 0);
    std::cout.flush();  // what is pending is not the child's to say
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      ::dup2(error[1], STDERR_FILENO);
      // It may end without a destructor: what it writes lies where the test cleans up.
      ::setenv("TMPDIR", directory_.path().c_str(), 1);
      // Its workers are to die with it, and no signal handler of the tests' is to meddle.
      for (const int signal : {SIGTERM, SIGINT, SIGSEGV, SIGABRT}) ::signal(signal, SIG_DFL);
      int status = 1;
      try {
        Options options = bench_options();
        options.workers = 2;
        Bench bench(options, sharing);
        serve(bench.server);
        status = 0;
      } catch (const StartError& start_error) {
        std::fprintf(stderr, "%s\n", start_error.what());
        status = 4;
      }
      ::_exit(status);
    }
    REQUIRE(pid_ > 0);
    ::close(out[1]);
    ::close(error[1]);
    out_ = out[0];
    error_ = error[0];
  }
  ~ServerProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(out_);
    ::close(error_);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  pid_t pid() const { return pid_; }
  std::string line() const { return read_line(out_); }
  std::string error_line() const { return read_line(error_); }
  void stop() const { ::kill(pid_, SIGTERM); }
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  static std::string read_line(int fd) {
    std::string line;
    for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }

  TempDir directory_;
  pid_t pid_ = -1;
  int out_ = -1;
  int error_ = -1;
};

bool is_alive(pid_t pid) { return ::kill(pid, 0) == 0; }

}  // namespace

TEST_CASE("alone, the calling thread is worker 0, and the ready line comes first") {
  ServerProcess server(Sharing::nobody, [](Server& its_server) {
    run_alone(its_server,
              [](Worker& worker, int number) { worker.stats.accepts.add(7 + static_cast<std::uint64_t>(number)); });
    its_server.print_statistics();
  });
  const nlohmann::json ready = nlohmann::json::parse(server.line());
  CHECK(ready["event"] == "ready");
  CHECK(ready["server"] == "bench");
  CHECK(ready["pid"] == server.pid());
  CHECK(ready["port"] > 0);
  const nlohmann::json statistics = nlohmann::json::parse(server.line());
  CHECK(statistics["event"] == "statistics");
  CHECK(statistics["total"]["accepts"] == 7);
  CHECK(statistics["workers"].size() == 1);
  CHECK(server.wait() == 0);
}

TEST_CASE("threads serve until the server is asked to end, and their counts are told") {
  const Shared<Board> board;
  ServerProcess server(Sharing::threads, [&](Server& its_server) {
    run_threads(its_server, 3, [&](Worker& worker, int number) {
      worker.stats.requests.add(10 + static_cast<std::uint64_t>(number));
      ++board->begun;
      for (;;) ::pause();
    });
  });
  CHECK(nlohmann::json::parse(server.line())["event"] == "ready");
  spin_until([&] { return board->begun == 3; });
  server.stop();
  const nlohmann::json statistics = nlohmann::json::parse(server.line());
  CHECK(statistics["workers"].size() == 3);
  CHECK(statistics["total"]["requests"] == 33);
  CHECK(statistics["workers"][2]["requests"] == 12);
  CHECK(server.wait() == 0);
}

TEST_CASE("a process that was killed is replaced, its counts go on, and all are gone when the server ends") {
  const auto descriptors = GENERATE(Descriptors::separate, Descriptors::common);
  const Shared<Board> board;
  ServerProcess server(descriptors == Descriptors::common ? Sharing::processes : Sharing::nobody,
                       [&](Server& its_server) {
                         run_processes(its_server, 2, descriptors, [&](Worker& worker, int number) {
                           worker.stats.requests.add(10);
                           board->pids[static_cast<std::size_t>(number)] = ::getpid();
                           ++board->begun;
                           for (;;) ::pause();
                         });
                         its_server.print_statistics();
                       });
  CHECK(nlohmann::json::parse(server.line())["event"] == "ready");
  spin_until([&] { return board->begun == 2; });
  const pid_t first = board->pids[0];
  const pid_t second = board->pids[1];
  CHECK(first != second);
  CHECK(first != server.pid());
  // More often than short lives are tolerated: a kill from outside is none.
  for (int round = 0; round < 6; ++round) {
    const pid_t victim = board->pids[1];
    const int begun = board->begun;
    REQUIRE(::kill(victim, SIGKILL) == 0);
    spin_until([&] { return board->begun == begun + 1; });
    CHECK(server.error_line() ==
          "bench: worker 1 (pid " + std::to_string(victim) + ") was killed by signal 9; a new one takes its place");
    CHECK(board->pids[1] != victim);
  }
  CHECK(board->pids[0] == first);
  server.stop();
  const nlohmann::json statistics = nlohmann::json::parse(server.line());
  CHECK(statistics["workers"].size() == 2);
  CHECK(statistics["workers"][0]["requests"] == 10);
  CHECK(statistics["workers"][1]["requests"] == 70);
  CHECK(server.wait() == 0);
  CHECK_FALSE(is_alive(first));
  CHECK_FALSE(is_alive(board->pids[1]));
}

TEST_CASE("where no process can be started for one that died, the others go on, and it is tried again") {
  const Shared<Board> board;
  forks_that_fail = &board->forks_that_fail;
  ServerProcess server(Sharing::nobody, [&](Server& its_server) {
    run_processes(its_server, 2, Descriptors::separate, [&](Worker&, int number) {
      board->pids[static_cast<std::size_t>(number)] = ::getpid();
      ++board->begun;
      for (;;) ::pause();
    });
    its_server.print_statistics();
  });
  server.line();
  spin_until([&] { return board->begun == 2; });
  const pid_t other = board->pids[0];
  board->forks_that_fail = 2;
  REQUIRE(::kill(board->pids[1], SIGKILL) == 0);
  CHECK(server.error_line().find("was killed by signal 9; a new one takes its place") != std::string::npos);
  for (int i = 0; i < 2; ++i) {
    CHECK(server.error_line().starts_with(
        "bench: cannot start a process for worker 1: Resource temporarily unavailable"));
  }
  spin_until([&] { return board->begun == 3; });
  CHECK(board->pids[0] == other);
  CHECK(is_alive(other));
  server.stop();
  const nlohmann::json statistics = nlohmann::json::parse(server.line());
  CHECK(statistics["total"]["processes_failed"] == 2);
  CHECK(statistics["workers"][1]["processes_failed"] == 2);
  CHECK(server.wait() == 0);
  forks_that_fail = nullptr;
}

TEST_CASE("an exception on a server's thread ends it in one line with status 4") {
  const bool no_memory = GENERATE(false, true);
  ServerProcess server(Sharing::threads, [&](Server& its_server) {
    run_threads(its_server, 2, [&](Worker&, int number) {
      if (number == 0) {
        for (;;) ::pause();
      }
      if (no_memory) throw std::bad_alloc();
      throw StartError("no luck");
    });
  });
  CHECK(server.error_line() ==
        (no_memory ? "bench: out of memory; use fewer --workers, --connections or --cache-bytes" : "bench: no luck"));
  CHECK(server.error_line() == "");
  CHECK(server.wait() == 4);
}

TEST_CASE("a server ends although nobody reads what it says last") {
  ServerProcess server(Sharing::threads, [&](Server& its_server) {
    run_threads(its_server, 200, [](Worker&, int) {
      for (;;) ::pause();
    });
  });
  server.line();
  server.stop();  // 200 workers' counters are more than a pipe holds
  CHECK(server.error_line() == "nobody reads the statistics on standard output");
  CHECK(server.wait() == 0);
}

TEST_CASE("processes that keep dying by themselves end the server with their cause") {
  ServerProcess server(Sharing::nobody, [](Server& its_server) {
    run_processes(its_server, 2, Descriptors::separate, [](Worker&, int) { throw StartError("no luck"); });
  });
  CHECK(nlohmann::json::parse(server.line())["event"] == "ready");
  CHECK(server.wait() == 4);
  std::string said;
  for (std::string line; !(line = server.error_line()).empty();) said += line + "\n";
  CHECK(said.find("bench: worker 0: no luck") != std::string::npos);
  CHECK(said.find("the worker processes keep dying; the last one ended with status 4") != std::string::npos);
}

TEST_CASE("workers die with the server that was killed") {
  const Shared<Board> board;
  ServerProcess server(Sharing::nobody, [&](Server& its_server) {
    run_processes(its_server, 2, Descriptors::separate, [&](Worker&, int number) {
      board->pids[static_cast<std::size_t>(number)] = ::getpid();
      ++board->begun;
      for (;;) ::pause();
    });
  });
  spin_until([&] { return board->begun == 2; });
  ::kill(server.pid(), SIGKILL);
  CHECK(server.wait() == -1);
  // Whoever reaps orphans here does so in its own time; dead is enough.
  for (const int i : {0, 1}) {
    spin_until([&] {
      std::ifstream stat("/proc/" + std::to_string(board->pids[static_cast<std::size_t>(i)]) + "/stat");
      std::string line;
      std::getline(stat, line);
      const std::size_t end = line.rfind(')');
      return end == std::string::npos || line[end + 2] == 'Z';
    });
  }
}
