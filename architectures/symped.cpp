// SYMPED: symmetric multi-process event-driven (Pariag 2007, section 5.1).
//
//   who waits        each process's event loop, for its own sockets
//   what is shared   the listening socket: the processes are forked after listen(); all else is each one's own
//   what can block   the disk (and, with --send=blocking, a full socket): one process waits, the kernel runs another
//   knobs            --workers (processes), --connections (over all of them), --poller, --send, --accept-priority,
//                    --accept-limit, --reuseport
//
//             +-- loop 1: wait -> handle each event
//   clients   |
//   ========> +-- loop 2: wait -> handle each event      each with its own cache and descriptors
//   (one      |
//    socket)  +-- loop N: wait -> handle each event
#include "architectures/event_loop.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "symped",
    .paper = "Pariag 2007, section 5.1",
    .workers_are = "processes, each an event loop",
    .workers_most = 4096,
    .workers_default = 4,
    .pollers = all_pollers(),
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking, Sending::blocking, Sending::poll_first},
    .accept_priorities = all_accept_priorities(),
    .descriptors_are_per_worker = true,
    .can_listen_apart = true,
};

void serve(Server& server) {
  const int each = (server.options().connections + server.options().workers - 1) / server.options().workers;
  run_processes(server, server.options().workers, Descriptors::separate, [&](Worker& worker, int number) {
    worker.be_called("process", number + 1);
    EventLoop loop(server, worker, each);
    loop.run([&](Connection& connection) { return connection.advance(worker); });
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::nobody, serve); }
