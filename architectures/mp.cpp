// MP: multi-process (Pai 1999, section 3.1).
//
//   who waits        a process of the pool, blocked in the call, for its one connection
//   what is shared   the listening socket; each process has its own cache
//   what can block   every call: the kernel runs another process
//   knobs            --workers (processes: as many connections at once, no more)
//
//             +-- process 1: accept -> read -> send -> ...
//   clients   |
//   ========> +-- process 2: accept -> read -> send -> ...
//             |
//             +-- process N: accept -> read -> send -> ...
#include "architectures/serve_connection.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "mp",
    .paper = "Pai 1999, section 3.1",
    .workers_are = "processes, each with one connection at a time",
    .workers_most = 16384,
    .workers_default = 32,
    .waiting = Waiting::in_calls,
    .bodies = all_bodies(),
    .sends = {Sending::blocking},
    .can_refuse = false,
    .connections_are_workers = true,
    .descriptors_are_per_worker = true,
    .can_listen_apart = true,
};

void serve(Server& server) {
  run_processes(server, server.options().workers, Descriptors::separate, [](Worker& worker, int number) {
    worker.be_called("process", number + 1);
    accept_and_serve(worker);
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::nobody, serve); }
