// What a server is made of, whatever its architecture: options, files, listening socket, cache, counters. An
// architecture's main() hands a function to server_main and gets a Server; what it does with it is the architecture.
#pragma once

#include <signal.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "core/base/clock.h"
#include "core/events/listener.h"
#include "core/events/poller.h"
#include "core/files/body.h"
#include "core/files/document_root.h"
#include "core/files/file_cache.h"
#include "core/http/response_head.h"
#include "core/occupancy.h"
#include "core/options.h"
#include "core/sharing/shared_memory.h"
#include "core/stats_region.h"
#include "core/trace/recorder.h"

namespace bakeoff {

// Descriptors or memory ran out: how long until accepting is tried again, should no connection end before.
inline constexpr std::int64_t exhausted_pause_ms = 100;

// The signals that ask a server to end.
sigset_t stop_signals();

class Server;
class SharedCacheMemory;
class SharedDescriptorTable;

// One thread of control that serves connections: where its clients come from, its cache, its buffers, its time, its
// counters.
struct Worker {
 private:
  // A cache of its own, where nobody shares one.
  std::unique_ptr<CacheMemory> own_cache_memory_;
  std::unique_ptr<FileCache> own_cache_;

 public:
  Worker(Server& server, int number, WorkerStats& stats,
         std::unique_ptr<Clock> clock = std::make_unique<SystemClock>());

  Server& server;
  const Listener& listener;  // its own (--reuseport), or that of all workers
  FileCache& cache;          // its own, or that of all who share it
  WorkerStats& stats;
  Clock& clock;
  HeadEnd head_end;
  std::span<char> scratch;  // holds nothing between two calls

  // Around a wait in the event mechanism. Afterwards the time is another, and the wait counts.
  void waits() {
    if (trace != nullptr) trace->begin_wait();
  }
  void waited(const Poller& poller, std::size_t ready);

  // Around a wait for another thread of this server. BLOCKS: as `wait` does.
  template <class Wait>
  void rest(Wait wait) {
    if (trace == nullptr) return wait();
    TraceEvent event = trace->begin(TraceKind::rest);
    wait();
    trace->end(event);
  }

  // What it does is recorded there: nullptr unless --trace-events says so.
  TraceRecorder* trace = nullptr;
  // What it is called where that is shown: "loop", or "thread 3" for number 3. "worker 3" where nobody says.
  void be_called(std::string_view name, int its_number = 0) {
    if (trace != nullptr) trace->rename(name, its_number);
  }

 private:
  FileCache& find_cache();

  std::unique_ptr<TraceRecorder> own_trace_;
  std::unique_ptr<Clock> own_clock_;
  std::unique_ptr<char[]> scratch_memory_;
};

// Who shares the file cache. nobody: each worker has one of its own.
enum class Sharing : std::uint8_t { nobody, threads, processes };

class Server {
 public:
  // Throws UsageError, StartError.
  Server(const Options& options, const Architecture& architecture, Sharing sharing);
  ~Server();

  const Options& options() const { return options_; }
  const Architecture& architecture() const { return architecture_; }
  const DocumentRoot& root() const { return root_; }
  const BodyStrategy& body() const { return body_; }
  DescriptorTable& descriptors() { return *descriptors_; }
  // The cache of all workers; nullptr with Sharing::nobody.
  FileCache* shared_cache() { return shared_cache_.get(); }
  // What processes share besides, for their parent. REQUIRES: Sharing::processes.
  SharedDescriptorTable& shared_descriptors();
  SharedCacheMemory& shared_cache_memory();
  bool waits_in_calls() const { return architecture_.waiting == Waiting::in_calls; }
  int receive_flags() const { return receive_flags_; }  // for recv()

  // Where worker `number` accepts.
  const Listener& listener_of(int number) const;
  // This process has a descriptor table of its own and holds worker `number` alone: closes the others'
  // listening sockets.
  void close_listeners_but(int number);

  // A worker of this process. Number 0 is the first; a number's counters go on where its last holder left them.
  // Throws StartError beyond most_workers.
  std::unique_ptr<Worker> make_worker(int number);
  static constexpr int most_workers = StatsRegion::most_workers;
  // The counters of that worker, which must not run meanwhile.
  WorkerStats& stats_of(int number) { return stats_.of_worker(number); }

  // What this program records; nullptr unless --trace-events says so.
  TraceRegion* trace() { return trace_.get(); }

  // A poller for this process. Throws StartError.
  std::unique_ptr<Poller> make_poller();

  // Listener::accept, counted and noted.
  Listener::Accepted accept(Worker& worker);
  void close_connection(int fd);

  // Connections, idle and other: accepted and not yet closed.
  Occupancy& occupancy() { return occupancy_; }
  // --admission=close-idle, for who waits in calls: an idle connection looks whether somebody waits to be accepted.
  void make_room(const Worker& worker) {
    occupancy_.make_room([&] { return worker.listener.waiting(); }, options_.reuseport);
  }

  // --- the end (SIGTERM, SIGINT, SIGQUIT, SIGHUP) ---
  // With --drain the first signal makes the server drain: it accepts no more connections, closes idle ones at once, and
  // answers requests that have begun. It ends when they are answered, when that time has passed, or at a second signal.

  // Becomes readable when such a signal has come.
  int stop_fd() const { return stop_fd_; }
  // Takes it. False: the server is to end now. True: it drains, and drain_until_ms() is set.
  bool drains_after_signal();
  // Of all its processes and threads. In ms of CLOCK_MONOTONIC.
  void begin_drain();
  bool draining() const { return end_->draining.load(std::memory_order_acquire); }
  // For a thread that has nothing left to do then. BLOCKS: once the server drains, until the process ends.
  void wait_for_end_of_drain() const;
  std::int64_t drain_until_ms() const { return end_->until_ms.load(std::memory_order_relaxed); }
  // Becomes readable, and stays so, when it drains.
  int drain_fd() const { return drain_fd_; }
  // Whether it is to end now, for who waits in calls that return now and then. One system call.
  bool asked_to_end() const;

  // Tells on stdout, as one line of JSON, that connections are accepted. Called once.
  void announce_ready();
  // The last line on stdout. BLOCKS: until it is read, or for two seconds in which nothing of it is.
  void print_statistics();

 private:
  Listener::Accepted accept_unless_draining(const Listener& listener) const;

  Options options_;
  const Architecture& architecture_;
  DocumentRoot root_;
  std::vector<Listener> listeners_;  // one for all workers, or one for each
  BodyStrategy body_;
  int receive_flags_;
  int stop_fd_;
  int drain_fd_;
  // Why they need no lock: one process stores both, the time before the flag (release), and nobody reads the time who
  // has not read the flag (acquire). Both are stored once.
  struct End {
    std::atomic<bool> draining{false};
    std::atomic<std::int64_t> until_ms{0};
  };
  SharedRegion end_memory_{sizeof(End)};
  End* end_ = new (end_memory_.data()) End;
  std::atomic<bool> ending_{false};
  Occupancy occupancy_;
  StatsRegion stats_;
  std::unique_ptr<TraceRegion> trace_;
  std::unique_ptr<char[]> memory_for_the_end_;
  std::unique_ptr<DescriptorTable> descriptors_;
  std::unique_ptr<CacheMemory> cache_memory_;
  std::unique_ptr<FileCache> shared_cache_;
  // As what descriptors_ and cache_memory_ are, where processes share them.
  SharedDescriptorTable* shared_descriptors_ = nullptr;
  SharedCacheMemory* shared_cache_memory_ = nullptr;
};

// What ended a server, in one line.
const char* what_ended_it(const std::exception& error);

// Reads the command line, builds the server, calls `serve` and prints the statistics when it returns; or prints one
// line that says what is wrong and what to do. Returns the exit status: 0, 2 (usage), 4 (did not start).
int server_main(int argc, char** argv, const Architecture& architecture, Sharing sharing,
                void (*serve)(Server& server));

}  // namespace bakeoff
