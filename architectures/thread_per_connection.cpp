// Thread-per-connection: the architecture of Knot (von Behren 2003; Pariag 2007, section 4).
//
//   who waits        a user-level thread, parked in the scheduler, for its one connection; a kernel worker thread, for
//                    the disk and for every sendfile, because it may have to wait for one
//   what is shared   the whole address space: one cache, under a lock that the workers need
//   what can block   a kernel worker thread; never the kernel thread of the user-level threads
//   knobs            --connections (threads, pre-forked: as many connections at once, no more), --workers (kernel worker
//                    threads), --poller, --send (Knot's three: section 4.3), --favour (policies A and C); with
//                    --threads=kernel the kernel's own threads wait for everything
//
//             +-- thread 1: accept -> read -> send -> ...      parked in the poll set when a socket call would block
//   clients   |
//   ========> +-- thread 2: accept -> read -> send -> ...      parked while a worker   +----------+
//             |                                                waits for the disk ===> | worker 1 | ---> disk
//             +-- thread N: accept -> read -> send -> ...                              | worker W |
//                                                                                      +----------+
#include <atomic>
#include <memory>

#include "architectures/serve_connection.h"
#include "core/user_threads/user_threads.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "thread-per-connection",
    .paper = "von Behren 2003, section 4; Pariag 2007, section 4",
    .workers_are = "kernel worker threads, for the disk",
    .workers_most = 1024,
    .workers_default = 16,
    .pollers = all_pollers(),
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking, Sending::blocking, Sending::poll_first, Sending::timed},
    .residencies = {Residency::always_absent, Residency::none, Residency::cachestat, Residency::nowait,
                    Residency::mincore},
    .thread_kinds = {ThreadKind::user, ThreadKind::kernel},
    .favours = {Favour::ready, Favour::accepting},
    .can_refuse = false,
    .connections_are_threads = true,
};

// The kernel worker thread that this runs on, as a worker of the server.
Worker& this_disk_worker(Server& server) {
  static std::atomic<int> next = 1;  // 0 is the kernel thread of the user-level threads
  thread_local const std::unique_ptr<Worker> worker = [&] {
    auto made = server.make_worker(next++);
    made->may_wait_for_room = true;
    return made;
  }();
  worker->clock.refresh();
  return *worker;
}

void serve_on_user_thread(Connection& connection, Worker& worker, UserThreads& threads) {
  Want want = Want::disk;
  for (bool proceed = true;;) {
    if (proceed) {
      worker.clock.refresh();
      want = connection.advance(worker);
    }
    proceed = true;
    bool in_time = true;
    switch (want) {
      case Want::readable: in_time = threads.wait_readable(connection.fd(), connection.deadline_ms()); break;
      case Want::writable: in_time = threads.wait_writable(connection.fd(), connection.deadline_ms()); break;
      case Want::disk: {
        std::optional<Want> next;
        threads.on_worker([&] { next = connection.wait_for_disk(this_disk_worker(worker.server)); });
        proceed = !next || *next == Want::readable;  // the next request may be here already
        want = next.value_or(Want::disk);
        worker.clock.refresh();
        // A socket that stays full comes back again and again; a slow disk is not the client's fault.
        in_time =
            next || worker.server.options().send != Sending::timed || worker.clock.now_ms() < connection.deadline_ms();
        break;
      }
      case Want::timer: threads.wait_until(connection.fd(), connection.deadline_ms()); break;
      case Want::close: threads.closing(connection.fd()); return;
    }
    if (!in_time) {
      worker.clock.refresh();
      want = connection.expire(worker);
      proceed = false;
    }
  }
}

void serve_on_user_threads(Server& server) {
  const Options& options = server.options();
  const std::unique_ptr<Worker> worker = server.make_worker(0);
  UserThreads threads({.mechanism = options.poller,
                       .descriptors = options.descriptors,
                       .disk_workers = options.workers,
                       .deadline_grain_ms = options.deadline_grain_ms,
                       .newcomers_first = options.favour == Favour::accepting});
  threads.on_turn([&](const UserThreads::Counters& counters) { worker->stats.set_user_threads(counters); });
  const int listener = server.listener().fd();
  const auto accept_and_serve_for_ever = [&] {
    for (;;) {
      const auto [outcome, fd] = server.accept(*worker);
      if (outcome != Listener::Outcome::accepted) {
        threads.wait_shared(listener, options.accept_limit == 0 ? 1 : options.accept_limit);
        continue;
      }
      if (options.accept_limit == 0) threads.wake_shared(listener, 1);  // there may be more
      Connection connection(fd, *worker);
      if (options.favour == Favour::accepting) threads.yield();  // until everybody who is here has been accepted
      serve_on_user_thread(connection, *worker, threads);
    }
  };
  for (int i = 0; i < options.connections; ++i) threads.spawn(accept_and_serve_for_ever);
  server.announce_ready();
  threads.run(server.stop_fd());
  worker->stats.set_user_threads(threads.counters());
}

void serve(Server& server) {
  if (server.options().threads == ThreadKind::kernel) {
    run_threads(server, server.options().connections, [](Worker& worker, int) { accept_and_serve(worker); });
  }
  serve_on_user_threads(server);
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::threads, serve); }
