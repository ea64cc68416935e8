// What a server is made of, whatever its architecture: options, files, listening socket, cache, counters. An
// architecture's main() hands a function to server_main and gets a Server; what it does with it is the architecture.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/files/body.h"
#include "core/base/clock.h"
#include "core/files/document_root.h"
#include "core/files/file_cache.h"
#include "core/events/listener.h"
#include "core/options.h"
#include "core/events/poller.h"
#include "core/http/response_head.h"
#include "core/sharing/shared_memory.h"
#include "core/stats_region.h"

namespace bakeoff {

class Ledger;
class Server;
class SharedCacheMemory;

// One thread of control that serves connections: its buffers, its time, its counters.
struct Worker {
  Worker(Server& server, WorkerStats& stats, std::unique_ptr<Clock> clock = std::make_unique<SystemClock>());

  Server& server;
  WorkerStats& stats;
  Clock& clock;
  HeadEnd head_end;
  std::span<char> scratch;  // holds nothing between two calls
  bool may_wait_for_room =
      false;  // it may poll a full socket itself (--send=timed): nobody else waits for it meanwhile

  // A wait in the event mechanism has ended: the time is another, and it counts.
  void waited(const Poller& poller, std::size_t ready);

 private:
  std::unique_ptr<Clock> own_clock_;
  std::unique_ptr<char[]> scratch_memory_;
};

// Who shares the file cache.
enum class Sharing : std::uint8_t { nobody, threads, processes };

class Server {
 public:
  // Throws UsageError, StartError.
  Server(const Options& options, const Architecture& architecture, Sharing sharing);
  ~Server();

  const Options& options() const { return options_; }
  const Architecture& architecture() const { return architecture_; }
  const DocumentRoot& root() const { return root_; }
  const Listener& listener() const { return *listener_; }  // this worker's
  const BodyStrategy& body() const { return body_; }
  FileCache& cache() { return *cache_; }
  Ledger* ledger() { return ledger_.get(); }                   // nullptr unless processes share descriptors
  SharedCacheMemory* shared_cache() { return shared_cache_; }  // likewise
  int receive_flags() const { return receive_flags_; }         // for recv()

  // Workers that each have a listening socket of their own: this process is worker `number`, and listens at its own.
  void listen_as(int number, bool descriptors_are_shared);

  // A worker of this process. Number 0 is the first; a number's counters go on where its last holder left them.
  // Throws StartError beyond most_workers.
  std::unique_ptr<Worker> make_worker(int number);
  static constexpr int most_workers = StatsRegion::most_workers;

  // A poller for this process. Throws StartError.
  std::unique_ptr<Poller> make_poller();

  // Listener::accept, counted and noted.
  Listener::Accepted accept(Worker& worker);
  void close_connection(int fd);

  // Becomes readable when the server is asked to end (SIGTERM, SIGINT).
  int stop_fd() const { return stop_fd_; }

  // Tells on stdout, as one line of JSON, that connections are accepted. Called once.
  void announce_ready();
  // The last line on stdout.
  void print_statistics();

 private:
  Options options_;
  const Architecture& architecture_;
  DocumentRoot root_;
  std::vector<Listener> listeners_;
  const Listener* listener_;
  BodyStrategy body_;
  int receive_flags_;
  int stop_fd_;
  StatsRegion stats_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<CacheMemory> cache_memory_;
  SharedCacheMemory* shared_cache_ = nullptr;
  std::unique_ptr<FileCache> cache_;
};

// Reads the command line, builds the server, calls `serve` and prints the statistics when it returns; or prints one line
// that says what is wrong and what to do. Returns the exit status: 0, 2 (usage), 4 (did not start).
int server_main(int argc, char** argv, const Architecture& architecture, Sharing sharing,
                void (*serve)(Server& server));

}  // namespace bakeoff
