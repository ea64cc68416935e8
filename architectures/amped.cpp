// AMPED: asymmetric multi-process event-driven, the architecture of Flash (Pai 1999, section 3.4); with --helpers=threads
// AMTED.
//
//   who waits        the one event loop, for all sockets at once; a helper, for the disk, one job at a time
//   what is shared   nothing: a helper brings a name or a range of bytes into the kernel's memory and says so
//   what can block   nothing in the loop, as long as what a check found in memory is still there when it is sent
//   knobs            --workers (most helpers; started on demand), --helpers, --residency, and those of SPED
//
//            +-------------------------------+   job    +----------+
//   clients  |  wait -> handle each event    | =======> | helper 1 | ---> disk
//   =======> |    ^        |                 |   done   +----------+
//            |    +--------+  (disk: helper) | <======= | helper N | ---> disk
//            +-------------------------------+   pipe   +----------+
#include "architectures/event_loop.h"
#include "core/workers/helper_pool.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "amped",
    .paper = "Pai 1999, section 3.4",
    .workers_are = "most helpers, started on demand",
    .workers_most = 1024,
    .workers_default = 16,
    .pollers = all_pollers(),
    .bodies = all_bodies(),
    // Not blocking: a loop that waited for one client's socket would need no helpers.
    .sends = {Sending::nonblocking, Sending::poll_first},
    .residencies = {Residency::cachestat, Residency::nowait, Residency::mincore, Residency::always_absent,
                    Residency::none},
    .helpers = {HelperKind::processes, HelperKind::threads},
    .favours = all_favours(),
};

void serve(Server& server) {
  run_alone(server, [&](Worker& worker, int) {
    EventLoop loop(server, worker, server.options().connections);
    const auto helpers = make_helper_pool(server.options().helpers, server.options().workers, server.root().fd());
    const auto finished = [&](HelperPool::Token token) { loop.resume(static_cast<int>(token)); };
    const auto collect = [&](int fd) {
      helpers->collect(fd, finished);
      worker.stats.set_helpers(helpers->counters());
    };
    helpers->attach([&](int fd) { loop.watch(fd, [&, fd] { collect(fd); }); }, [&](int fd) { loop.forget(fd); });
    loop.run([&](Connection& connection) -> std::optional<Want> {
      helpers->submit(connection.disk_job(), static_cast<HelperPool::Token>(connection.fd()));
      worker.stats.set_helpers(helpers->counters());
      return std::nullopt;  // until its helper is done
    });
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::nobody, serve); }
