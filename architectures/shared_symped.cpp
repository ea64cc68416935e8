// shared-SYMPED: SYMPED with one file cache and one descriptor table (Pariag 2007, section 5.2).
//
//   who waits        each process's event loop, for its own sockets
//   what is shared   the listening socket; the cache, in shared memory under a futex; the descriptor table, by
//                    clone(CLONE_FILES), so that an open file is open for all
//   what can block   the disk (and, with --send=blocking, a full socket): one process waits, the kernel runs another;
//                    the cache's lock, briefly
//   knobs            --workers (processes), --connections (over all of them), --poller, --send, --accept-priority,
//                    --accept-limit, --reuseport
//
//             +-- loop 1 --+
//   clients   |            |      +-----------------------------+
//   ========> +-- loop 2 --+----> | one cache, one table of     |
//   (one      |            |      | descriptors, one futex      |
//    socket)  +-- loop N --+      +-----------------------------+
#include "architectures/event_loop.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "shared-symped",
    .paper = "Pariag 2007, section 5.2",
    .workers_are = "processes, each an event loop, with one cache",
    .workers_most = 4096,
    .workers_default = 4,
    .pollers = all_pollers(),
    // No mmap: a mapping belongs to one process, and the cache to all.
    .bodies = {BodyKind::automatic, BodyKind::sendfile, BodyKind::buffer, BodyKind::uncached},
    .sends = {Sending::nonblocking, Sending::blocking, Sending::poll_first},
    .accept_priorities = all_accept_priorities(),
    .can_listen_apart = true,
};

void serve(Server& server) {
  const int each = (server.options().connections + server.options().workers - 1) / server.options().workers;
  run_processes(server, server.options().workers, Descriptors::common, [&](Worker& worker, int number) {
    worker.be_called("process", number + 1);
    EventLoop loop(server, worker, each);
    loop.run([&](Connection& connection) { return connection.advance(worker); });
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::processes, serve); }
