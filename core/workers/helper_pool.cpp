#include "core/workers/helper_pool.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/errors.h"
#include "core/sharing/blocking_queue.h"

namespace bakeoff {
namespace {

constexpr const char* helper_name = "amped-helper";

// No signal meets a new helper before it has its own way with signals: its parent's handlers are not for it.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// Jobs that are done, told to the pool's owner by a descriptor that becomes readable.
class FinishedJobs {
 public:
  FinishedJobs() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (event_ < 0) {
      throw StartError(std::string("no descriptor for the helpers: ") + std::strerror(errno) +
                       "; raise the limit on open files (ulimit -n)");
    }
  }
  FinishedJobs(const FinishedJobs&) = delete;
  FinishedJobs& operator=(const FinishedJobs&) = delete;
  ~FinishedJobs() { ::close(event_); }

  int descriptor() const { return event_; }

  void add(HelperPool::Token token) {
    bool was_empty;
    {
      const std::lock_guard lock(mutex_);
      was_empty = tokens_.empty();
      tokens_.push_back(token);
    }
    // Whoever takes them takes all: one notification is enough.
    if (was_empty) ::eventfd_write(event_, 1);
  }

  std::vector<HelperPool::Token> take() {
    eventfd_t count = 0;
    ::eventfd_read(event_, &count);  // before the tokens: one added in between is notified again
    const std::lock_guard lock(mutex_);
    return std::exchange(tokens_, {});
  }

 private:
  const int event_;
  std::mutex mutex_;
  std::vector<HelperPool::Token> tokens_;
};

// What both kinds share: who is watched, and the counts.
class CountingPool : public HelperPool {
 public:
  void attach(std::function<void(int fd)> watch, std::function<void(int fd)> unwatch) override {
    BAKEOFF_CHECK(!watch_);
    watch_ = std::move(watch);
    unwatch_ = std::move(unwatch);
    watch_(finished_jobs_.descriptor());
  }

  const Counters& counters() const override { return counters_; }

 protected:
  CountingPool(int most, int root_fd) : most_(static_cast<std::size_t>(most)), root_fd_(root_fd) {
    BAKEOFF_CHECK(most >= 1);
  }

  void count(const DiskJob& job) {
    BAKEOFF_CHECK(watch_ != nullptr);
    BAKEOFF_CHECK(job.path_bytes <= DiskJob::longest_path);
    ++counters_.jobs;
  }

  const std::size_t most_;
  const int root_fd_;
  std::function<void(int fd)> watch_;
  std::function<void(int fd)> unwatch_;
  Counters counters_;
  FinishedJobs finished_jobs_;
};

// --- processes ---

// The life of a helper process. Only async-signal-safe calls: another thread of the parent may have held any lock when
// this process was forked.
[[noreturn]] void run_helper_process(int jobs_fd, int root_fd, pid_t parent) {
  // First, so that a connection that the parent closes just now is really closed.
  const auto [low, high] = std::minmax({static_cast<unsigned>(jobs_fd), static_cast<unsigned>(root_fd)});
  if (low > 0) ::syscall(SYS_close_range, 0U, low - 1, 0U);
  if (high - low > 1) ::syscall(SYS_close_range, low + 1, high - 1, 0U);
  ::syscall(SYS_close_range, high + 1, ~0U, 0U);

  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);  // it died before it could be asked for
  ::prctl(PR_SET_NAME, helper_name);
  for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  for (;;) {
    DiskJob job;
    const ssize_t got = ::recv(jobs_fd, &job, sizeof job, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) ::_exit(0);
    bring_into_memory(job, root_fd);
    const char notification = 0;
    if (::send(jobs_fd, &notification, 1, MSG_NOSIGNAL) != 1) ::_exit(0);
  }
}

// A pair of packet sockets stands for Flash's pair of pipes: it keeps jobs apart, costs one descriptor, and a write to a
// dead helper is an error, no SIGPIPE.
class ProcessPool final : public CountingPool {
 public:
  ProcessPool(int most, int root_fd) : CountingPool(most, root_fd) {}

  ~ProcessPool() override {
    for (const auto& [fd, helper] : helpers_) {
      ::close(fd);
      reap(helper.pid);
    }
  }

  void submit(const DiskJob& job, Token token) override {
    count(job);
    counters_.queued += queue_.size();
    queue_.push_back({job, token, 0});
    hand_out();
    if (queue_.empty()) return;
    queue_.back().since_ns = monotonic_ns();
    counters_.queued_most = std::max<std::uint64_t>(counters_.queued_most, queue_.size());
  }

  void collect(int fd, const std::function<void(Token)>& finished) override {
    if (fd == finished_jobs_.descriptor()) {
      for (const Token token : finished_jobs_.take()) finished(token);
      return;
    }
    const auto found = helpers_.find(fd);
    if (found == helpers_.end()) return;
    Helper& helper = found->second;
    char notification;
    const ssize_t got = ::recv(fd, &notification, 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    const std::optional<Token> token = std::exchange(helper.token, std::nullopt);
    if (got == 1) {
      free_.push_back(fd);
    } else {
      if (token) ++counters_.died;
      std::erase(free_, fd);
      unwatch_(fd);
      ::close(fd);
      reap(helper.pid);
      helpers_.erase(found);
    }
    hand_out();
    if (token) finished(*token);  // last: it may submit again
  }

 private:
  struct Helper {
    pid_t pid;
    std::optional<Token> token;  // of the job in hand
  };
  struct Queued {
    DiskJob job;
    Token token;
    std::int64_t since_ns;  // 0: it has not had to wait
  };

  // Gives queued jobs to free helpers and to new ones. A job for which there is no helper and none can be had is given up
  // as finished.
  void hand_out() {
    while (!queue_.empty()) {
      if (free_.empty() && (helpers_.size() >= most_ || !start())) {
        if (!helpers_.empty()) return;  // one of them will be free
        for (const Queued& queued : queue_) finished_jobs_.add(queued.token);
        queue_.clear();
        return;
      }
      const int fd = free_.back();  // the one that was busy last: its stack is warm
      free_.pop_back();
      const Queued& queued = queue_.front();
      if (::send(fd, &queued.job, queued.job.wire_bytes(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        // It is dead, or shall be: its end of file has collect() reap it.
        ::shutdown(fd, SHUT_RDWR);
        continue;
      }
      helpers_.at(fd).token = queued.token;
      if (queued.since_ns != 0) counters_.wait_ns += static_cast<std::uint64_t>(monotonic_ns() - queued.since_ns);
      queue_.pop_front();
    }
  }

  bool start() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
    const pid_t parent = ::getpid();
    pid_t pid;
    {
      const SignalsBlocked blocked;
      pid = ::fork();
      if (pid == 0) run_helper_process(ends[1], root_fd_, parent);
    }
    ::close(ends[1]);
    if (pid < 0) {
      ::close(ends[0]);
      return false;
    }
    helpers_.emplace(ends[0], Helper{pid, std::nullopt});
    free_.push_back(ends[0]);
    ++counters_.started;
    watch_(ends[0]);
    return true;
  }

  // BLOCKS: disk, while the kernel lets a killed helper finish a read under way.
  static void reap(pid_t pid) {
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  std::map<int, Helper> helpers_;  // by the descriptor that reaches it
  std::vector<int> free_;
  std::deque<Queued> queue_;
};

// --- threads ---

class ThreadPool final : public CountingPool {
 public:
  ThreadPool(int most, int root_fd) : CountingPool(most, root_fd), queue_(0) {}

  // BLOCKS: disk, until each helper is done with the job in hand.
  ~ThreadPool() override {
    ending_ = true;
    queue_.close();
    for (std::thread& helper : helpers_) helper.join();
  }

  void submit(const DiskJob& job, Token token) override {
    count(job);
    if (unfinished_ >= helpers_.size() && helpers_.size() < most_) start();
    ++unfinished_;
    if (helpers_.empty()) {
      finished_jobs_.add(token);
      return;
    }
    const std::uint64_t waiting = unfinished_ > helpers_.size() ? unfinished_ - helpers_.size() : 0;
    counters_.queued_most = std::max(counters_.queued_most, waiting);
    if (waiting > 1) counters_.queued += waiting - 1;
    queue_.push({job, token, waiting > 0 ? monotonic_ns() : 0});
  }

  void collect(int fd, const std::function<void(Token)>& finished) override {
    if (fd != finished_jobs_.descriptor()) return;
    const std::vector<Token> tokens = finished_jobs_.take();
    unfinished_ -= tokens.size();
    counters_.wait_ns = waited_ns_;
    for (const Token token : tokens) finished(token);
  }

 private:
  struct Queued {
    DiskJob job;
    Token token;
    std::int64_t since_ns;  // 0: somebody is free for it
  };

  void start() {
    const SignalsBlocked blocked;  // inherited: signals are for the thread that serves
    try {
      helpers_.emplace_back([this] { help(); });
    } catch (const std::system_error&) {
      return;  // the helpers there are will do
    }
    ++counters_.started;
  }

  void help() {
    ::prctl(PR_SET_NAME, helper_name);
    while (const std::optional<Queued> queued = queue_.pop()) {
      if (ending_) continue;
      if (queued->since_ns != 0) waited_ns_ += static_cast<std::uint64_t>(monotonic_ns() - queued->since_ns);
      bring_into_memory(queued->job, root_fd_);
      finished_jobs_.add(queued->token);
    }
  }

  std::size_t unfinished_ = 0;  // submitted and not collected
  std::atomic<bool> ending_{false};
  std::atomic<std::uint64_t> waited_ns_{0};
  StageQueue<Queued> queue_;
  std::vector<std::thread> helpers_;
};

}  // namespace

std::unique_ptr<HelperPool> make_helper_pool(HelperKind kind, int most, int root_fd) {
  if (kind == HelperKind::processes) return std::make_unique<ProcessPool>(most, root_fd);
  return std::make_unique<ThreadPool>(most, root_fd);
}

}  // namespace bakeoff
