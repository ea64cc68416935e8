// Thread-per-connection: the architecture of Knot (von Behren 2003; Pariag 2007, section 4).
//
//   who waits        a user-level thread, parked in the scheduler, for its one connection; a kernel worker thread, for
//                    the disk and for every sendfile, because it may have to wait for one
//   what is shared   the whole address space: one cache, under a lock that the workers need
//   what can block   a kernel worker thread; never the kernel thread of the user-level threads
//   knobs            --connections (threads, pre-forked: as many connections at once, no more), --workers (kernel
//                    worker threads), --poller, --send (Knot's three: section 4.3), --accept-priority (policies A and
//                    C)
//
//             +-- thread 1: accept -> read -> send -> ...      parked in the poll set when a socket call would block
//   clients   |
//   ========> +-- thread 2: accept -> read -> send -> ...      parked while a worker   +----------+
//             |                                                waits for the disk ===> | worker 1 | ---> disk
//             +-- thread N: accept -> read -> send -> ...                              | worker W |
//                                                                                      +----------+
#include <atomic>
#include <memory>
#include <new>
#include <optional>

#include "architectures/timed_send.h"
#include "core/connection.h"
#include "core/server.h"
#include "core/user_threads/user_threads.h"

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
    .residencies = {Residency::always_offload, Residency::none, Residency::cachestat, Residency::nowait,
                    Residency::mincore},
    .accept_priorities = {AcceptPriority::ready, AcceptPriority::accepting},
    .can_refuse = false,
    .connections_are_threads = true,
};

// The kernel worker thread that this runs on, as a worker of the server.
Worker& this_disk_worker(Server& server) {
  static std::atomic<int> next = 1;  // 0 is the kernel thread of the user-level threads
  thread_local const std::unique_ptr<Worker> worker = [&] {
    const int number = next++;
    std::unique_ptr<Worker> made = server.make_worker(number);
    made->be_called("kernel worker", number);
    return made;
  }();
  worker->clock.refresh();
  return *worker;
}

// The job of a kernel worker thread: the step that may wait for the disk, and for room as --send says. Returns as
// Connection::wait_for_disk does. BLOCKS: disk; network, for a second (timed) or until the reply is sent (blocking).
std::optional<Want> work(Connection& connection, Worker& worker) {
  const auto step = [&] { return connection.wait_for_disk(worker); };
  const Sending send = worker.server.options().send;
  if (send == Sending::timed) {
    const std::optional<Want> want = send_timed(connection, worker, step);
    return want == Want::writable ? std::nullopt : want;  // the next attempt is another job of the same kind
  }
  std::optional<Want> want = step();
  // A call in blocking mode comes back now and then only for its thread to look around.
  while (send == Sending::blocking && (want == Want::writable || want == Want::disk)) {
    worker.clock.refresh();
    if (worker.clock.now_ms() >= connection.deadline_ms() || worker.server.asked_to_end()) break;
    want = step();
  }
  return want;
}

// All user-level threads share the worker; what it does is recorded as done by the thread that has it.
void serve_on_user_thread(Connection& connection, Worker& worker, UserThreads& threads, TraceRecorder* trace) {
  Want want = Want::disk;
  for (bool proceed = true;;) {
    worker.trace = trace;
    if (proceed) {
      worker.clock.refresh();
      want = connection.advance(worker);
    }
    proceed = true;
    bool in_time = true;
    switch (want) {
      case Want::readable:
        in_time = threads.wait_readable(connection.fd(), connection.deadline_ms());
        if (connection.is_drained(worker)) return;
        break;
      case Want::writable: in_time = threads.wait_writable(connection.fd(), connection.deadline_ms()); break;
      case Want::disk: {
        std::optional<Want> next;
        threads.on_worker([&] { next = work(connection, this_disk_worker(worker.server)); });
        proceed = !next || *next == Want::readable;  // the next request may be here already
        want = next.value_or(Want::disk);
        worker.clock.refresh();
        // A socket that stays full comes back again and again; a slow disk is not the client's fault.
        in_time =
            next || worker.server.options().send != Sending::timed || worker.clock.now_ms() < connection.deadline_ms();
        break;
      }
      case Want::timer: threads.wait_until(connection.fd(), connection.deadline_ms()); break;
      case Want::close: return;
    }
    if (!in_time) {
      worker.clock.refresh();
      worker.trace = trace;
      want = connection.expire(worker);
      proceed = false;
    }
  }
}

void serve(Server& server) {
  const Options& options = server.options();
  const std::unique_ptr<Worker> worker = server.make_worker(0);
  worker->be_called("scheduler");
  UserThreads threads({.mechanism = options.poller,
                       .descriptors = options.descriptors,
                       .disk_workers = options.workers,
                       .deadline_grain_ms = options.deadline_grain_ms,
                       .newcomers_first = options.accept_priority == AcceptPriority::accepting,
                       .trace = worker->trace});
  threads.on_turn([&](const UserThreads::Counters& counters) { worker->stats.set_user_threads(counters); });
  const int listener = worker->listener.fd();
  int named = 0;
  const auto accept_and_serve = [&] {
    std::optional<TraceRecorder> trace;  // in the order in which they come to serve
    while (!server.draining()) {
      const bool full = server.occupancy().open() >= options.connections;
      if (full && !server.occupancy().can_make_room(false)) {
        worker->clock.refresh();
        threads.pause_shared(listener, worker->clock.now_ms() + full_house_pause_ms);
        threads.wait_shared(listener, 1);
        continue;
      }
      const auto [outcome, fd] = server.accept(*worker);
      if (outcome != Listener::Outcome::accepted) {
        if (outcome == Listener::Outcome::exhausted) {
          worker->clock.refresh();
          threads.pause_shared(listener, worker->clock.now_ms() + exhausted_pause_ms);
        }
        threads.wait_shared(listener, options.accept_limit == 0 ? 1 : options.accept_limit);
        continue;
      }
      if (full) server.occupancy().end_longest_idle();
      if (options.accept_limit == 0) threads.wake_shared(listener, 1);  // there may be more
      if (server.trace() != nullptr && !trace) {
        trace.emplace(*server.trace(), "", LaneKind::user_thread);
        trace->rename("thread", ++named);
      }
      worker->trace = trace ? &*trace : nullptr;
      Connection connection(fd, *worker);
      if (options.accept_priority == AcceptPriority::accepting)
        threads.yield();  // until everybody who is here has been accepted
      try {
        serve_on_user_thread(connection, *worker, threads, worker->trace);
      } catch (const std::bad_alloc&) {
        worker->stats.closed_no_memory.add();
      }
      threads.closing(fd);
    }
  };
  // One more accepts the newcomer in whose place another leaves.
  const int threads_count = options.connections + (options.admission == Admission::close_idle ? 1 : 0);
  for (int i = 0; i < threads_count; ++i) threads.spawn(accept_and_serve);
  threads.spawn([&] { server.announce_ready(); });  // when run() has found the kernel worker threads that it needs
  threads.run(server.stop_fd(), [&] {
    if (!server.drains_after_signal()) return true;
    threads.end_by(server.drain_until_ms());
    threads.wake_readers();
    return false;
  });
  worker->stats.set_user_threads(threads.counters());
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::threads, serve); }
