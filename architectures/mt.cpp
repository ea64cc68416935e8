// MT: multi-threaded (Pai 1999, section 3.2).
//
//   who waits        a kernel thread of the pool, blocked in the call, for its one connection
//   what is shared   the whole address space: one cache, under a lock
//   what can block   every call: the kernel runs another thread; the cache's lock, briefly
//   knobs            --workers (threads: as many connections at once, no more), --dispatch
//
//   --dispatch=boss                              --dispatch=accept
//             +------+ queue +-- thread 1                  +-- thread 1: accept -> read -> send -> ...
//   clients   | boss | ====> +-- thread 2        clients   +-- thread 2: accept -> read -> send -> ...
//   ========> |accept|       +-- thread N        ========> +-- thread N: accept -> read -> send -> ...
#include <memory>
#include <semaphore>

#include "architectures/serve_connection.h"
#include "core/sharing/blocking_queue.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "mt",
    .paper = "Pai 1999, section 3.2",
    .workers_are = "threads, each with one connection at a time",
    .workers_most = 32768,
    .workers_default = 64,
    .bodies = all_bodies(),
    .sends = {Sending::blocking},
    .dispatches = {Dispatch::boss, Dispatch::accept},
    .accepts_in_batches = false,
    .connections_are_workers = true,
};

using Connections = StageQueue<std::unique_ptr<Connection>>;
using FreeWorkers = std::counting_semaphore<>;

[[noreturn]] void be_boss(Worker& worker, Connections& connections, FreeWorkers& free_workers) {
  const bool refuses = worker.server.options().admission == Admission::refuse;
  for (;;) {
    if (!refuses) free_workers.acquire();
    const int fd = wait_for_client(worker);
    if (refuses && !free_workers.try_acquire()) {
      Connection::refuse(fd, worker);
      continue;
    }
    worker.stats.count_batch(1, connections.push(std::make_unique<Connection>(fd, worker)));
  }
}

[[noreturn]] void be_worker(Worker& worker, Connections& connections, FreeWorkers& free_workers) {
  for (;;) {
    std::unique_ptr<Connection> connection = *connections.pop();
    serve_connection(*connection, worker);
    connection.reset();
    free_workers.release();
  }
}

void serve(Server& server) {
  const int threads = server.options().workers;
  if (server.options().dispatch == Dispatch::accept) {
    run_threads(server, threads, [](Worker& worker, int) { accept_and_serve(worker); });
  }
  Connections connections(0);  // never longer than there are free workers
  FreeWorkers free_workers(server.options().connections);
  run_threads(server, threads + 1, [&](Worker& worker, int number) {
    if (number == 0) be_boss(worker, connections, free_workers);
    be_worker(worker, connections, free_workers);
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::threads, serve); }
