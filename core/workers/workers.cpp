#include "core/workers/workers.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>

#include "core/base/errors.h"
#include "core/files/shared_descriptor_table.h"
#include "core/sharing/lock.h"
#include "core/files/shared_cache.h"

namespace bakeoff {
namespace {

using std::chrono::steady_clock;

// Enough for the deepest call of a server's thread; address space only, until it is touched.
constexpr std::size_t thread_stack_bytes = 256 * 1024;

// How long a worker process must have lived for its death not to count towards giving up.
constexpr auto short_life = std::chrono::seconds(1);
constexpr int most_short_lives = 5;

struct ThreadStart {
  Server& server;
  const WorkerBody& body;
  int number;
};

void* thread_main(void* argument) {
  const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(argument));
  const std::unique_ptr<Worker> worker = start->server.make_worker(start->number);
  start->body(*worker, start->number);
  return nullptr;
}

sigset_t stop_and_child_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGCHLD);
  return set;
}

// The processes of one server, as their parent sees them.
class Processes {
 public:
  Processes(Server& server, Descriptors descriptors, const WorkerBody& body)
      : server_(server), descriptors_(descriptors), body_(body) {
    const sigset_t set = stop_and_child_signals();
    sigprocmask(SIG_BLOCK, &set, nullptr);
    if (descriptors_ == Descriptors::common) {
      ProcessLock::register_process();
      server_.ledger()->adopt_open_descriptors();
    }
  }

  ~Processes() {
    // To end a worker is to kill it: what it counted lies in shared memory. Signals that it blocks do not delay it.
    for (const auto& [pid, life] : living_) ::kill(pid, SIGKILL);
    for (const auto& [pid, life] : living_) ::waitpid(pid, nullptr, 0);
  }

  void start(int number) {
    const pid_t parent = ::getpid();
    const pid_t pid =
        descriptors_ == Descriptors::separate
            ? ::fork()
            : static_cast<pid_t>(::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (pid < 0) {
      throw StartError("only " + std::to_string(living_.size()) +
                       " of the processes could be had: " + std::strerror(errno) + "; use fewer --workers");
    }
    if (pid == 0) std::_Exit(be_worker(number, parent));
    living_[pid] = {number, steady_clock::now()};
  }

  // Waits for the next thing to do; false when the server is asked to end.
  bool attend() {
    const sigset_t set = stop_and_child_signals();
    const timespec soon = {0, 50'000'000};
    const int signal = tidy_ ? ::sigwaitinfo(&set, nullptr) : ::sigtimedwait(&set, nullptr, &soon);
    if (signal == SIGTERM || signal == SIGINT) return false;
    for (int status = 0;;) {
      const pid_t pid = ::waitpid(-1, &status, WNOHANG);
      if (pid <= 0) break;
      if (const auto dead = living_.find(pid); dead != living_.end()) replace(dead, status);
    }
    if (descriptors_ == Descriptors::common) {
      const bool swept = server_.ledger()->sweep_strays();
      const bool retired = server_.shared_cache()->tidy();
      tidy_ = swept && retired;
    }
    return true;
  }

 private:
  struct Life {
    int number;
    steady_clock::time_point begun;
  };

  int be_worker(int number, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) return 0;  // it died before the line above
    const sigset_t set = stop_and_child_signals();
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    try {
      if (descriptors_ == Descriptors::common) {
        ProcessLock::register_process();
        server_.ledger()->i_am(number + 1);
      }
      server_.listen_as(number, descriptors_ == Descriptors::common);
      const std::unique_ptr<Worker> worker = server_.make_worker(number);
      body_(*worker, number);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: worker %d: %s\n", server_.architecture().name.data(), number, error.what());
      return 4;
    }
    return 0;
  }

  void replace(std::map<pid_t, Life>::iterator dead, int status) {
    const auto [pid, life] = *dead;
    living_.erase(dead);
    if (descriptors_ == Descriptors::common) {
      server_.ledger()->give_back(life.number + 1, server_.cache());
      tidy_ = false;
    }
    const bool killed_from_outside =
        WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
    const bool short_lived = !killed_from_outside && steady_clock::now() - life.begun < short_life;
    short_lives_ = short_lived ? short_lives_ + 1 : 0;
    const std::string how = WIFSIGNALED(status) ? "was killed by signal " + std::to_string(WTERMSIG(status))
                                                : "ended with status " + std::to_string(WEXITSTATUS(status));
    if (short_lives_ >= most_short_lives) throw StartError("the worker processes keep dying; the last one " + how);
    std::cerr << server_.architecture().name << ": worker " << life.number << " (pid " << pid << ") " << how
              << "; a new one takes its place" << std::endl;
    start(life.number);
  }

  Server& server_;
  Descriptors descriptors_;
  const WorkerBody& body_;
  std::map<pid_t, Life> living_;
  int short_lives_ = 0;
  bool tidy_ = true;  // nothing of a dead worker remains to be given back
};

}  // namespace

void run_alone(Server& server, const WorkerBody& body) {
  const std::unique_ptr<Worker> worker = server.make_worker(0);
  server.announce_ready();
  body(*worker, 0);
}

void start_thread(Server& server, int number, const WorkerBody& body) {
  auto start = std::make_unique<ThreadStart>(ThreadStart{server, body, number});
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, thread_stack_bytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const int error = ::pthread_create(&thread, &attributes, thread_main, start.get());
  pthread_attr_destroy(&attributes);
  if (error != 0) throw StartError(std::strerror(error));
  start.release();
}

void run_threads(Server& server, int count, const WorkerBody& body) {
  for (int number = 0; number < count; ++number) {
    try {
      start_thread(server, number, body);
    } catch (const StartError& error) {
      std::cerr << server.architecture().name << ": only " << number << " of " << count
                << " threads could be had: " << error.what() << "; use fewer --workers" << std::endl;
      std::_Exit(4);
    }
  }
  server.announce_ready();
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  while (::sigwaitinfo(&stop, nullptr) < 0) {
  }
  server.print_statistics();
  std::_Exit(0);
}

void run_processes(Server& server, int count, Descriptors descriptors, const WorkerBody& body) {
  Processes processes(server, descriptors, body);
  for (int number = 0; number < count; ++number) processes.start(number);
  server.announce_ready();
  while (processes.attend()) {
  }
}

}  // namespace bakeoff
