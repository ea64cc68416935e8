#include "core/workers/workers.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/errors.h"
#include "core/files/shared_cache.h"
#include "core/files/shared_descriptor_table.h"
#include "core/sharing/lock.h"

namespace bakeoff {
namespace {

using std::chrono::steady_clock;

// Enough for the deepest call of a server's thread; address space only, until it is touched.
constexpr std::size_t thread_stack_bytes = 256 * 1024;

// How long a worker process must have lived for its death not to count towards giving up.
constexpr auto short_life = std::chrono::seconds(1);
constexpr int most_short_lives = 5;

// Why the kernel gives no process or thread more, and what would do.
std::string what_would_do(int error) {
  const bool forbidden = error == EPERM || error == ENOSYS;
  return std::string(std::strerror(error)) +
         (forbidden ? "; this kernel or sandbox forbids it" : "; use fewer --workers");
}

struct ThreadStart {
  std::unique_ptr<Worker> worker;
  const WorkerBody& body;
  int number;
};

// An uncaught exception on any thread ends the server with one line, as on its first thread.
void* thread_main(void* argument) {
  const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(argument));
  const std::string_view name = start->worker->server.architecture().name;
  try {
    start->body(*start->worker, start->number);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(name.size()), name.data(), what_ended_it(error));
    std::_Exit(4);
  }
  return nullptr;
}

sigset_t stop_and_child_signals() {
  sigset_t set = stop_signals();
  sigaddset(&set, SIGCHLD);
  return set;
}

bool asks_to_end(int signal) {
  const sigset_t stop = stop_signals();
  return signal > 0 && sigismember(&stop, signal) == 1;
}

// The processes of one server, as their parent sees them. It goes on whatever happens to one of them, and needs no
// memory for that but what the system calls take.
class Processes {
 public:
  Processes(Server& server, int count, Descriptors descriptors, const WorkerBody& body)
      : server_(server), descriptors_(descriptors), body_(body), lives_(static_cast<std::size_t>(count)) {
    const sigset_t set = stop_and_child_signals();
    sigprocmask(SIG_BLOCK, &set, nullptr);
    if (descriptors_ == Descriptors::common) {
      ProcessLock::register_process();
      server_.shared_descriptors().adopt_open_descriptors();
    }
  }

  ~Processes() {
    // To end a worker is to kill it: what it counted lies in shared memory. Signals that it blocks do not delay it.
    for (const Life& life : lives_) {
      if (life.pid > 0) ::kill(life.pid, SIGKILL);
    }
    for (const Life& life : lives_) {
      if (life.pid > 0) ::waitpid(life.pid, nullptr, 0);
    }
  }

  // Makes all processes. Throws StartError.
  void start() {
    for (int number = 0; number < static_cast<int>(lives_.size()); ++number) {
      if (!start(number)) {
        throw StartError("only " + std::to_string(number) + " processes could be started: " + what_would_do(errno));
      }
    }
  }

  // Waits for the next thing to do; false when the server is asked to end. Throws StartError when the workers
  // keep dying.
  bool attend() {
    const sigset_t set = stop_and_child_signals();
    const timespec* const at_most = tidy_ && vacant_ == 0 && !server_.draining() ? nullptr : &look_again;
    const int signal = ::sigtimedwait(&set, nullptr, at_most);
    if (asks_to_end(signal)) {
      if (server_.draining() || server_.options().drain_ms == 0) return false;
      server_.begin_drain();
    }
    for (int status = 0;;) {
      const pid_t pid = ::waitpid(-1, &status, WNOHANG);
      if (pid <= 0) break;
      for (std::size_t i = 0; i < lives_.size(); ++i) {
        if (lives_[i].pid == pid) bury(static_cast<int>(i), status);
      }
    }
    // Who has drained ends, and is not replaced.
    if (server_.draining()) return vacant_ < lives_.size() && monotonic_ns() / 1'000'000 < server_.drain_until_ms();
    for (std::size_t i = 0; vacant_ > 0 && i < lives_.size(); ++i) {
      if (lives_[i].pid == 0 && steady_clock::now() >= lives_[i].retry_at) replace(static_cast<int>(i));
    }
    if (descriptors_ == Descriptors::common) tidy();
    return true;
  }

 private:
  static constexpr timespec look_again = {0, 50'000'000};
  static constexpr auto first_pause = std::chrono::milliseconds(100);
  static constexpr auto longest_pause = std::chrono::seconds(10);

  struct Life {
    pid_t pid = 0;  // 0: there is no process of that number
    steady_clock::time_point begun;
    bool given_back = true;  // what the last process of that number held
    // When one is to be made, and how long the next pause is should that fail.
    steady_clock::time_point retry_at;
    steady_clock::duration pause = first_pause;
  };

  // False, with errno, when the kernel gives no process.
  bool start(int number) {
    const pid_t parent = ::getpid();
    const pid_t pid =
        descriptors_ == Descriptors::separate
            ? ::fork()
            : static_cast<pid_t>(::syscall(SYS_clone, CLONE_FILES | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (pid < 0) return false;
    if (pid == 0) std::_Exit(be_worker(number, parent));
    Life& life = lives_[static_cast<std::size_t>(number)];
    life.pid = pid;
    life.begun = steady_clock::now();
    life.given_back = false;
    return true;
  }

  int be_worker(int number, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) return 0;  // it died before the line above
    // What a terminal sends to all of them is for their parent, who knows how to end. SIGTERM to one ends that one.
    for (const int signal : {SIGINT, SIGQUIT, SIGHUP}) ::signal(signal, SIG_IGN);
    const sigset_t set = stop_and_child_signals();
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    try {
      if (descriptors_ == Descriptors::common) {
        ProcessLock::register_process();
        server_.shared_descriptors().i_am(number + 1);
      }
      server_.occupancy().begin_process(number);
      if (descriptors_ == Descriptors::separate) server_.close_listeners_but(number);
      const std::unique_ptr<Worker> worker = server_.make_worker(number);
      body_(*worker, number);
    } catch (const std::exception& error) {
      say("worker %d: %s", number, what_ended_it(error));
      return 4;
    }
    return 0;
  }

  template <class... Values>
  void say(const char* format, Values... values) const {
    char text[512];
    const std::string_view name = server_.architecture().name;
    int bytes = std::snprintf(text, sizeof text, "%.*s: ", static_cast<int>(name.size()), name.data());
    bytes += std::snprintf(text + bytes, sizeof text - static_cast<std::size_t>(bytes) - 1, format, values...);
    bytes = std::min(bytes, static_cast<int>(sizeof text) - 2);
    text[bytes++] = '\n';
    (void)!::write(STDERR_FILENO, text, static_cast<std::size_t>(bytes));
  }

  void bury(int number, int status) {
    Life& life = lives_[static_cast<std::size_t>(number)];
    const pid_t pid = std::exchange(life.pid, 0);
    ++vacant_;
    if (server_.draining()) return;
    const bool killed_from_outside =
        WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
    const bool short_lived = !killed_from_outside && steady_clock::now() - life.begun < short_life;
    short_lives_ = short_lived ? short_lives_ + 1 : 0;
    char how[64];
    std::snprintf(how, sizeof how, WIFSIGNALED(status) ? "was killed by signal %d" : "ended with status %d",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (short_lives_ >= most_short_lives && vacant_ == lives_.size())
      throw StartError(std::string("the worker processes keep dying; the last one ") + how);
    say("worker %d (pid %d) %s; a new one takes its place", number, static_cast<int>(pid), how);
    life.retry_at = steady_clock::now();
    if (short_lived) {
      postpone(life);  // it did not get far: the next may do no better at once
    } else {
      life.pause = first_pause;
    }
  }

  static void postpone(Life& life) {
    life.retry_at = steady_clock::now() + life.pause;
    life.pause = std::min<steady_clock::duration>(2 * life.pause, longest_pause);
  }

  // Until it succeeds the others go on alone.
  void replace(int number) {
    Life& life = lives_[static_cast<std::size_t>(number)];
    try {
      if (!life.given_back && descriptors_ == Descriptors::common) {
        tidy_ = false;
        server_.shared_descriptors().give_back(number + 1, *server_.shared_cache());
      }
      life.given_back = true;
      if (start(number)) {
        --vacant_;
        return;
      }
    } catch (const std::bad_alloc&) {
      errno = ENOMEM;
    }
    const int error = errno;
    server_.stats_of(number).processes_failed.add();
    postpone(life);
    say("cannot start a process for worker %d: %s; trying again in %lld ms", number, std::strerror(error),
        static_cast<long long>(
            std::chrono::duration_cast<std::chrono::milliseconds>(life.retry_at - steady_clock::now()).count()));
  }

  void tidy() {
    try {
      const bool swept = server_.shared_descriptors().sweep_strays();
      const bool retired = server_.shared_cache_memory().tidy();
      tidy_ = swept && retired;
    } catch (const std::bad_alloc&) {
      tidy_ = false;
    }
  }

  Server& server_;
  Descriptors descriptors_;
  const WorkerBody& body_;
  std::vector<Life> lives_;  // by number
  std::size_t vacant_ = 0;   // numbers without a process
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
  auto start = std::make_unique<ThreadStart>(ThreadStart{server.make_worker(number), body, number});
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, thread_stack_bytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const int error = ::pthread_create(&thread, &attributes, thread_main, start.get());
  pthread_attr_destroy(&attributes);
  if (error != 0) throw StartError(what_would_do(error));
  start.release();  // the thread's
}

void run_threads(Server& server, int count, const WorkerBody& body) {
  for (int number = 0; number < count; ++number) {
    try {
      start_thread(server, number, body);
    } catch (const std::exception& error) {
      std::cerr << server.architecture().name << ": only " << number << " of " << count
                << " threads could be started: " << what_ended_it(error) << std::endl;
      std::_Exit(4);
    }
  }
  server.announce_ready();
  const sigset_t stop = stop_signals();
  while (::sigwaitinfo(&stop, nullptr) < 0) {
  }
  if (server.options().drain_ms > 0) {
    server.begin_drain();
    constexpr timespec look_again{0, 10'000'000};
    while (server.occupancy().open() > 0 && monotonic_ns() / 1'000'000 < server.drain_until_ms() &&
           ::sigtimedwait(&stop, nullptr, &look_again) < 0) {
    }
  }
  server.print_statistics();
  std::_Exit(0);
}

void run_processes(Server& server, int count, Descriptors descriptors, const WorkerBody& body) {
  Processes processes(server, count, descriptors, body);
  processes.start();
  server.announce_ready();
  while (processes.attend()) {
  }
}

}  // namespace bakeoff
