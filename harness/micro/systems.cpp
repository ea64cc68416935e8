#include "harness/micro/systems.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/user_threads/user_threads.h"

namespace bakeoff {
namespace {

using std::chrono::steady_clock;
using Time = steady_clock::time_point;

// Small stacks: a thread reads into its own buffer and does nothing else. User-level threads share one buffer, since
// only one of them runs at a time.
constexpr std::size_t kernel_stack_bytes = 64 * 1024;
constexpr std::size_t user_stack_bytes = 16 * 1024;

// Files are small and read once before: what is measured never waits for a disk.
class CachedFile {
 public:
  CachedFile() {
    std::string path = (std::filesystem::temp_directory_path() / "bakeoff-micro-XXXXXX").string();
    fd_ = ::mkostemp(path.data(), O_CLOEXEC);
    if (fd_ < 0) throw StartError("cannot make a file in " + path + ": " + std::strerror(errno) + "; set TMPDIR");
    ::unlink(path.c_str());
    const std::array<char, task_bytes> zeros{};
    if (::pwrite(fd_, zeros.data(), zeros.size(), 0) != static_cast<ssize_t>(zeros.size())) {
      ::close(fd_);
      throw StartError("cannot write 8 KB to " + path + ": " + std::strerror(errno));
    }
  }
  ~CachedFile() { ::close(fd_); }
  CachedFile(const CachedFile&) = delete;
  CachedFile& operator=(const CachedFile&) = delete;

  void read(std::array<char, task_bytes>& into) const {
    BAKEOFF_CHECK(::pread(fd_, into.data(), into.size(), 0) == static_cast<ssize_t>(into.size()));
  }

 private:
  int fd_ = -1;
};

struct Use {
  double cpu_s;
  std::uint64_t switches;
};

Use use_now() {
  timespec cpu{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return {static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) * 1e-9,
          static_cast<std::uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw)};
}

// The tasks that wait, and what is known of those that are done. One thread at a time calls it: the only one there is,
// or the holder of a lock.
class Tasks {
 public:
  explicit Tasks(const MicroSettings& settings) : settings_(settings), arrived_(settings.tasks) {}

  // The tasks arrive; the warm-up begins.
  void begin() {
    const Time now = steady_clock::now();
    std::fill(arrived_.begin(), arrived_.end(), now);
    measure_from_ = now + seconds(settings_.warmup_s);
    end_ = measure_from_ + seconds(settings_.duration_s);
  }

  Time take() {
    const Time arrived = arrived_.front();
    arrived_.pop_front();
    return arrived;
  }

  // A task is done and another arrives. False: the time is over.
  bool finish(Time arrived) {
    const Time now = steady_clock::now();
    arrived_.push_back(now);
    if (!measuring_ && now >= measure_from_) {
      measuring_ = true;
      measured_from_ = now;
      before_ = use_now();
    } else if (measuring_ && !over_) {
      ++figures_.done;
      figures_.latency.record(std::chrono::nanoseconds(now - arrived).count());
    }
    if (now < end_) return true;
    if (!over_ && measuring_) {
      over_ = true;
      const Use after = use_now();
      figures_.duration_s = std::chrono::duration<double>(now - measured_from_).count();
      figures_.cpu_s = after.cpu_s - before_.cpu_s;
      figures_.kernel_switches = after.switches - before_.switches;
    }
    return !over_;
  }

  bool measuring() const { return measuring_ && !over_; }
  MicroFigures figures() const { return figures_; }

 private:
  static steady_clock::duration seconds(double s) {
    return std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(s));
  }

  MicroSettings settings_;
  std::deque<Time> arrived_;
  Time measure_from_;
  Time measured_from_;
  Time end_;
  bool measuring_ = false;
  bool over_ = false;
  Use before_{};
  MicroFigures figures_;
};

MicroFigures run_event_loop(const MicroSettings& settings, const CachedFile& file) {
  Tasks tasks(settings);
  std::array<char, task_bytes> buffer;
  tasks.begin();
  for (Time arrived = tasks.take();; arrived = tasks.take()) {
    file.read(buffer);
    if (!tasks.finish(arrived)) return tasks.figures();
  }
}

// A preallocated pool of kernel threads and the queue that feeds it.
class ThreadPool {
 public:
  ThreadPool(const MicroSettings& settings, const CachedFile& file)
      : file_(file), tasks_(settings), threads_(settings.tasks) {}

  MicroFigures run() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kernel_stack_bytes);
    std::size_t made = 0;
    int error = 0;
    while (made < threads_.size() && (error = ::pthread_create(&threads_[made], &attributes, &begin, this)) == 0)
      ++made;
    pthread_attr_destroy(&attributes);
    tasks_.begin();
    start_ = error == 0 ? Start::go : Start::give_up;
    start_.notify_all();
    for (std::size_t i = 0; i < made; ++i) ::pthread_join(threads_[i], nullptr);
    if (error != 0) {
      throw StartError("only " + std::to_string(made) + " of " + std::to_string(threads_.size()) +
                       " threads could be started: " + std::strerror(error) + "; raise the limit (ulimit -u)");
    }
    return tasks_.figures();
  }

 private:
  static void* begin(void* pool) {
    static_cast<ThreadPool*>(pool)->work();
    return nullptr;
  }

  void work() {
    start_.wait(Start::wait);
    if (start_ == Start::give_up) return;
    std::array<char, task_bytes> buffer;
    std::unique_lock lock(mutex_);
    for (;;) {
      const Time arrived = tasks_.take();  // there are as many tasks as threads: never empty
      lock.unlock();
      file_.read(buffer);
      lock.lock();
      if (!tasks_.finish(arrived)) return;
    }
  }

  const CachedFile& file_;
  std::mutex mutex_;
  Tasks tasks_;
  std::vector<pthread_t> threads_;
  enum class Start { wait, go, give_up };
  std::atomic<Start> start_ = Start::wait;
};

MicroFigures run_user_threads(const MicroSettings& settings, const CachedFile& file) {
  Tasks tasks(settings);
  std::array<char, task_bytes> buffer;
  UserThreads threads({.stack_bytes = user_stack_bytes});
  std::uint64_t switches_before = 0;
  std::uint64_t switches = 0;
  bool over = false;
  for (std::uint32_t i = 0; i < settings.tasks; ++i) {
    threads.spawn([&] {
      while (!over) {
        const Time arrived = tasks.take();
        file.read(buffer);
        const bool measured_before = tasks.measuring();
        const bool goes_on = tasks.finish(arrived);
        if (!measured_before && tasks.measuring()) switches_before = threads.counters().switches;
        if (!goes_on) {
          over = true;
          switches = threads.counters().switches - switches_before;
          return;
        }
        threads.yield();
      }
    });
  }
  const int never = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (never < 0) throw StartError(std::string("cannot create a descriptor: ") + std::strerror(errno));
  tasks.begin();
  threads.run(never);
  ::close(never);
  MicroFigures figures = tasks.figures();
  figures.user_switches = switches;
  return figures;
}

}  // namespace

const std::vector<std::string_view>& micro_systems() {
  static const std::vector<std::string_view> names = {"kernel-threads", "event-loop", "user-threads"};
  return names;
}

MicroFigures run_micro_system(std::string_view name, const MicroSettings& settings) {
  BAKEOFF_CHECK(settings.tasks > 0);
  const CachedFile file;
  if (name == "kernel-threads") return ThreadPool(settings, file).run();
  if (name == "event-loop") return run_event_loop(settings, file);
  if (name == "user-threads") return run_user_threads(settings, file);
  throw UsageError("there is no system " + std::string(name));
}

}  // namespace bakeoff
