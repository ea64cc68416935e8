#include "core/workers/helper_pool.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/errors.h"
#include "core/sharing/blocking_queue.h"
#include "core/trace/recorder.h"

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

  // Reserves memory for so many, so that add() cannot fail: their waiters must get them. Throws std::bad_alloc.
  void reserve(std::size_t tokens) {
    const std::lock_guard lock(mutex_);
    most_ = std::max(most_, tokens);
    tokens_.reserve(most_);
  }

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

  // Throws std::bad_alloc, and takes nothing then.
  std::vector<HelperPool::Token> take() {
    std::vector<HelperPool::Token> next;
    next.reserve(most_);
    eventfd_t count = 0;
    ::eventfd_read(event_, &count);  // before the tokens: one added in between is notified again
    const std::lock_guard lock(mutex_);
    return std::exchange(tokens_, std::move(next));
  }

 private:
  const int event_;
  std::mutex mutex_;
  std::size_t most_ = 0;  // written by the pool's owner alone
  std::vector<HelperPool::Token> tokens_;
};

// What both kinds share: who is watched, and the counts.
class CountingPool : public HelperPool {
 public:
  void attach(std::function<void(int fd)> watch, std::function<void(int fd)> unwatch) override {
    BAKEOFF_CHECK(!watch_);
    watch_ = std::move(watch);
    unwatch_ = std::move(unwatch);
    watch_(finished_descriptor());
  }

  const Counters& counters() const override { return counters_; }

 protected:
  CountingPool(int most, int root_fd, TraceRegion* trace)
      : most_(static_cast<std::size_t>(most)), root_fd_(root_fd), trace_(trace) {
    BAKEOFF_CHECK(most >= 1);
  }

  void count(const DiskJob& job) {
    BAKEOFF_CHECK(watch_ != nullptr);
    BAKEOFF_CHECK(job.path_bytes <= DiskJob::longest_path);
    ++counters_.jobs;
  }

  // Becomes readable when a job is finished that no helper reports.
  virtual int finished_descriptor() const = 0;

  const std::size_t most_;
  const int root_fd_;
  TraceRegion* const trace_;
  std::function<void(int fd)> watch_;
  std::function<void(int fd)> unwatch_;
  Counters counters_;
};

// What helpers do with a job. Takes no lock and no memory.
void do_job(const DiskJob& job, int root_fd, TraceRecorder* recorder) {
  if (recorder == nullptr) return bring_into_memory(job, root_fd);
  TraceEvent event = recorder->begin(TraceKind::job, job.connection);
  bring_into_memory(job, root_fd);
  recorder->end(event);
}

std::optional<TraceRecorder> recorder_of_helper(TraceRegion* trace, std::uint64_t number) {
  std::optional<TraceRecorder> recorder;
  if (trace == nullptr) return recorder;
  recorder.emplace(*trace, "helper", LaneKind::helper);
  recorder->rename("helper", static_cast<int>(number));
  return recorder;
}

// --- processes ---

// Closes descriptors first to last.
void close_all(unsigned first, unsigned last) {
  if (::syscall(SYS_close_range, first, last, 0U) == 0) return;
  // Before Linux 5.9, or forbidden: one by one, as far as there can be any.
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  for (rlim_t fd = first; fd <= last && fd < limit.rlim_cur; ++fd) ::close(static_cast<int>(fd));
}

// The life of a helper process. Only async-signal-safe calls: another thread of the parent may have held any lock when
// this process was forked.
[[noreturn]] void run_helper_process(int jobs_fd, int root_fd, pid_t parent, std::optional<TraceRecorder> recorder) {
  // First, so that a connection that the parent closes just now is really closed.
  const auto [low, high] = std::minmax({static_cast<unsigned>(jobs_fd), static_cast<unsigned>(root_fd)});
  if (low > 0) close_all(0, low - 1);
  if (high - low > 1) close_all(low + 1, high - 1);
  close_all(high + 1, ~0U);

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
    do_job(job, root_fd, recorder ? &*recorder : nullptr);
    const char notification = 0;
    if (::send(jobs_fd, &notification, 1, MSG_NOSIGNAL) != 1) ::_exit(0);
  }
}

// A pair of packet sockets replaces Flash's pair of pipes: it keeps jobs apart, costs one descriptor, and a write to a
// dead helper is an error, not a SIGPIPE.
class ProcessPool final : public CountingPool {
 public:
  ProcessPool(int most, int root_fd, TraceRegion* trace) : CountingPool(most, root_fd, trace) {
    free_.reserve(most_);
    dying_.reserve(2 * most_);
  }

  ~ProcessPool() override {
    for (const auto& [fd, helper] : helpers_) {
      ::close(fd);
      ::kill(helper.pid, SIGKILL);
      dying_.push_back(helper.pid);
    }
    for (int waits = 0; waits < 1000 && !reap_dying(); ++waits)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  void submit(const DiskJob& job, Token token) override {
    const std::size_t waiting = queue_.size();
    finished_jobs_.reserve(waiting + 1);
    queue_.push_back({job, token, 0});
    count(job);
    counters_.queued += waiting;
    hand_out();
    if (queue_.empty()) return;
    queue_.back().since_ns = monotonic_ns();
    counters_.queued_most = std::max<std::uint64_t>(counters_.queued_most, queue_.size());
  }

  void collect(int fd, const std::function<void(Token)>& finished) override {
    if (fd == finished_jobs_.descriptor()) {
      for (const Token token : finished_jobs_.take()) {
        if (given_up_.erase(token) == 0) finished(token);
      }
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
    reap_dying();
    if (token) finished(*token);  // last: it may submit again
  }

  void give_up(Token token) override {
    const auto queued =
        std::find_if(queue_.begin(), queue_.end(), [&](const Queued& one) { return one.token == token; });
    const auto busy =
        std::find_if(helpers_.begin(), helpers_.end(), [&](const auto& one) { return one.second.token == token; });
    dying_.reserve(dying_.size() + most_ + 1);
    if (queued == queue_.end() && busy == helpers_.end())
      given_up_.insert(token);  // for want of helpers: about to be told
    ++counters_.given_up;
    if (queued == queue_.end() && busy == helpers_.end()) return;
    if (queued != queue_.end()) {
      queue_.erase(queued);
      return;
    }
    const auto [fd, helper] = *busy;
    unwatch_(fd);
    ::close(fd);
    helpers_.erase(busy);
    ::kill(helper.pid, SIGKILL);
    dying_.push_back(helper.pid);
    reap_dying();
    hand_out();
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

  // Gives queued jobs to free helpers and to new ones. A job for which no helper is available is reported as finished.
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
      if (pid == 0) run_helper_process(ends[1], root_fd_, parent, recorder_of_helper(trace_, counters_.started + 1));
    }
    ::close(ends[1]);
    if (pid < 0) {
      ::close(ends[0]);
      return false;
    }
    try {
      helpers_.emplace(ends[0], Helper{pid, std::nullopt});
      watch_(ends[0]);
    } catch (const std::bad_alloc&) {
      helpers_.erase(ends[0]);
      ::close(ends[0]);
      reap(pid);
      return false;
    }
    free_.push_back(ends[0]);
    ++counters_.started;
    return true;
  }

  // Those killed, as far as they are dead: the kernel lets a read under way finish first. True when none is left.
  bool reap_dying() {
    std::erase_if(dying_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
    return dying_.empty();
  }

  // One that is dead, or about to be by itself.
  static void reap(pid_t pid) {
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  int finished_descriptor() const override { return finished_jobs_.descriptor(); }

  FinishedJobs finished_jobs_;
  std::map<int, Helper> helpers_;  // by the descriptor that reaches it
  std::vector<pid_t> dying_;
  std::set<Token> given_up_;
  std::vector<int> free_;
  std::deque<Queued> queue_;
};

// --- threads ---

// Threads are detached: a thread whose disk hangs cannot be stopped, and must not delay the end. They co-own all that
// they use.
class ThreadPool final : public CountingPool {
 public:
  ThreadPool(int most, int root_fd, TraceRegion* trace)
      : CountingPool(most, root_fd, trace), common_(std::make_shared<Common>(root_fd)) {}

  // BLOCKS: disk, until each helper is done with the job in hand, no longer than a second.
  ~ThreadPool() override {
    common_->ending = true;
    common_->queue.close();
    std::unique_lock lock(common_->mutex);
    common_->ended.wait_for(lock, std::chrono::seconds(1), [this] { return common_->threads == 0; });
  }

  void submit(const DiskJob& job, Token token) override {
    if (unfinished_ >= helpers() && helpers() < most_) start();
    const std::size_t unfinished = unfinished_ + 1;
    common_->finished.reserve(unfinished + given_up_.size());
    const std::uint64_t waiting = unfinished > helpers() ? unfinished - helpers() : 0;
    if (started_ == 0) {
      common_->finished.add(token);
    } else {
      common_->queue.push({job, token, waiting > 0 ? monotonic_ns() : 0});
    }
    unfinished_ = unfinished;
    count(job);
    if (started_ == 0) return;
    counters_.queued_most = std::max(counters_.queued_most, waiting);
    if (waiting > 1) counters_.queued += waiting - 1;
  }

  void collect(int fd, const std::function<void(Token)>& finished) override {
    if (fd != common_->finished.descriptor()) return;
    const std::vector<Token> tokens = common_->finished.take();
    counters_.wait_ns = common_->waited_ns;
    for (const Token token : tokens) {
      if (given_up_.erase(token) > 0) continue;  // its thread has come back
      --unfinished_;
      finished(token);
    }
  }

  // What it leaves behind has a thread until it comes back; another may take its place.
  void give_up(Token token) override {
    given_up_.insert(token);
    --unfinished_;
    ++counters_.given_up;
    if (unfinished_ >= helpers() && helpers() < most_) start();
  }

 protected:
  int finished_descriptor() const override { return common_->finished.descriptor(); }

 private:
  struct Queued {
    DiskJob job;
    Token token;
    std::int64_t since_ns;  // 0: somebody is free for it
  };
  struct Common {
    explicit Common(int root) : root_fd(root), queue(0) {}
    const int root_fd;
    FinishedJobs finished;
    BlockingQueue<Queued> queue;
    std::atomic<bool> ending{false};
    std::atomic<std::uint64_t> waited_ns{0};
    std::mutex mutex;
    std::condition_variable ended;
    int threads = 0;
  };

  // Those that are free, or busy with a job that is still wanted. (A job that was given up while it was queued keeps
  // none busy for long: until its turn comes, one thread more may run than was asked for.)
  std::size_t helpers() const { return started_ - std::min(started_, given_up_.size()); }

  void start() {
    const SignalsBlocked blocked;  // inherited: signals are for the thread that serves
    const std::lock_guard lock(common_->mutex);
    try {
      std::thread([common = common_, recorder = recorder_of_helper(trace_, counters_.started + 1)]() mutable {
        help(*common, recorder ? &*recorder : nullptr);
      }).detach();
    } catch (const std::exception&) {  // no thread, or no memory for one
      return;                          // the helpers there are will do
    }
    ++common_->threads;
    ++started_;
    ++counters_.started;
  }

  static void help(Common& common, TraceRecorder* recorder) {
    ::prctl(PR_SET_NAME, helper_name);
    while (const std::optional<Queued> queued = common.queue.pop()) {
      if (common.ending) continue;
      if (queued->since_ns != 0) common.waited_ns += static_cast<std::uint64_t>(monotonic_ns() - queued->since_ns);
      do_job(queued->job, common.root_fd, recorder);
      common.finished.add(queued->token);
    }
    const std::lock_guard lock(common.mutex);
    --common.threads;
    common.ended.notify_all();
  }

  std::shared_ptr<Common> common_;
  std::size_t started_ = 0;
  std::size_t unfinished_ = 0;  // submitted, and neither collected nor given up
  std::set<Token> given_up_;    // not yet come back
};

}  // namespace

std::unique_ptr<HelperPool> make_helper_pool(HelperKind kind, int most, int root_fd, TraceRegion* trace) {
  if (kind == HelperKind::processes) return std::make_unique<ProcessPool>(most, root_fd, trace);
  return std::make_unique<ThreadPool>(most, root_fd, trace);
}

}  // namespace bakeoff
