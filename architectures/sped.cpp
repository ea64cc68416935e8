// SPED: single-process event-driven (Pai 1999, section 3.3; Pariag 2007, sections 2 and 5).
//
//   who waits        the one event loop, for all sockets at once
//   what is shared   nothing: there is one process and one thread
//   what can block   the disk: the loop waits, and all connections with it
//   knobs            --connections, --poller, --send, --accept-priority, --accept-limit
//
//            +-------------------------------+
//   clients  |  wait -> handle each event    |
//   =======> |    ^        |     (disk: all  |  files
//            |    +--------+      wait)      | =======>
//            +-------------------------------+
#include "architectures/event_loop.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "sped",
    .paper = "Pai 1999, section 3.3; Pariag 2007, section 5",
    .workers_are = "one event loop",
    .pollers = all_pollers(),
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking, Sending::blocking, Sending::poll_first},
    .accept_priorities = all_accept_priorities(),
};

void serve(Server& server) {
  run_alone(server, [&](Worker& worker, int) {
    worker.be_called("loop");
    EventLoop loop(server, worker, server.options().connections);
    loop.run([&](Connection& connection) { return connection.advance(worker); });
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::nobody, serve); }
