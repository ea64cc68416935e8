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
#include <new>
#include <semaphore>
#include <utility>

#include "architectures/serve_connection.h"
#include "core/base/errors.h"
#include "core/sharing/blocking_queue.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

enum class Dispatch { boss, accept };
struct OwnOptions {
  Dispatch dispatch = Dispatch::boss;
} own;

const Architecture architecture = {
    .name = "mt",
    .paper = "Pai 1999, section 3.2",
    .workers_are = "threads, each with one connection at a time",
    .workers_most = 32768,
    .workers_default = 64,
    .waiting = Waiting::in_calls,
    .bodies = all_bodies(),
    .sends = {Sending::blocking},
    .connections_are_workers = true,
    .own_options = {choice_option("dispatch", "who accepts", own.dispatch,
                                  {{Dispatch::boss, "boss"}, {Dispatch::accept, "accept"}})},
    .check =
        [](const Options& options) {
          if (own.dispatch == Dispatch::accept && options.admission == Admission::refuse)
            throw UsageError(nobody_can_refuse);
        },
};

using Connections = BlockingQueue<std::unique_ptr<Connection>>;
using FreeWorkers = std::counting_semaphore<>;

void be_boss(Worker& worker, Connections& connections, FreeWorkers& free_workers) {
  const bool refuses = worker.server.options().admission == Admission::refuse;
  for (;;) {
    if (!refuses) worker.rest([&] { free_workers.acquire(); });
    const int fd = wait_for_client(worker);
    if (fd < 0) return;
    if (refuses && !free_workers.try_acquire()) {
      Connection::refuse(fd, worker);
      continue;
    }
    try {
      if (std::unique_ptr<Connection> connection = Connection::make(fd, worker)) {
        worker.stats.count_batch(1, connections.push(std::move(connection)));
        continue;
      }
    } catch (const std::bad_alloc&) {  // the queue's; the connection is closed with its owner
      worker.stats.closed_no_memory.add();
    }
    free_workers.release();
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
  if (own.dispatch == Dispatch::accept) {
    run_threads(server, threads, [](Worker& worker, int number) {
      worker.be_called("thread", number + 1);
      accept_and_serve(worker);
    });
  }
  Connections connections(0);  // never longer than there are free workers
  FreeWorkers free_workers(server.options().connections);
  run_threads(server, threads + 1, [&](Worker& worker, int number) {
    if (number == 0) {
      worker.be_called("boss");
      return be_boss(worker, connections, free_workers);
    }
    worker.be_called("thread", number);
    be_worker(worker, connections, free_workers);
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::threads, serve); }
