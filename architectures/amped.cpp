// AMPED: asymmetric multi-process event-driven, the architecture of Flash (Pai 1999, section 3.4); with
// --helpers=threads AMTED.
//
//   who waits        the one event loop, for all sockets at once; a helper, for the disk, one job at a time
//   what is shared   nothing: a helper prefetches a name or a range of bytes into the page cache and says so
//   what can block   nothing in the loop, as long as what a check found in memory is still there when it is sent
//   knobs            --workers (most helpers; started on demand), --helpers, --helper-timeout, --residency, and those
//                    of SPED
//
//            +-------------------------------+   job    +----------+
//   clients  |  wait -> handle each event    | =======> | helper 1 | ---> disk
//   =======> |    ^        |                 |   done   +----------+
//            |    +--------+  (disk: helper) | <======= | helper N | ---> disk
//            +-------------------------------+   pipe   +----------+
#include <cstdint>
#include <vector>

#include "architectures/event_loop.h"
#include "core/workers/helper_pool.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

struct OwnOptions {
  HelperKind helpers = HelperKind::processes;
  std::int64_t helper_timeout_ms = 30'000;
} own;

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
    .residencies = {Residency::cachestat, Residency::nowait, Residency::mincore, Residency::always_offload,
                    Residency::none},
    .accept_priorities = all_accept_priorities(),
    .own_descriptors_per_worker = 2,  // the pipe of a helper
    .own_options = {choice_option("helpers", "who waits for the disk", own.helpers,
                                  {{HelperKind::processes, "processes"}, {HelperKind::threads, "threads"}}),
                    duration_option(
                        "helper-timeout",
                        "how long a job may wait for a helper and take; then the connection gets a 503; 0s: "
                        "for ever [30s]",
                        own.helper_timeout_ms)},
};

void serve(Server& server) {
  run_alone(server, [&](Worker& worker, int) {
    worker.be_called("loop");
    EventLoop loop(server, worker, server.options().connections);
    const auto helpers = make_helper_pool(own.helpers, server.options().workers, server.root().fd(), server.trace());
    // A job's name: the connection's descriptor below, and above what tells it from earlier jobs of that number.
    std::vector<HelperPool::Token> job_of(static_cast<std::size_t>(server.options().descriptors));
    HelperPool::Token last_job = 0;
    const auto finished = [&](HelperPool::Token token) { loop.resume(static_cast<int>(token & 0xffffffffu)); };
    const auto collect = [&](int fd) {
      helpers->collect(fd, finished);
      worker.stats.set_helpers(helpers->counters());
    };
    helpers->attach([&](int fd) { loop.watch(fd, [&, fd] { collect(fd); }); }, [&](int fd) { loop.forget(fd); });
    const auto submit = [&](Connection& connection) -> std::optional<Want> {
      const auto fd = static_cast<std::size_t>(connection.fd());
      job_of[fd] = ++last_job << 32 | fd;
      helpers->submit(connection.disk_job(), job_of[fd]);
      worker.stats.set_helpers(helpers->counters());
      return std::nullopt;  // until its helper is done
    };
    const auto give_up = [&](Connection& connection) {
      helpers->give_up(job_of[static_cast<std::size_t>(connection.fd())]);
      worker.stats.set_helpers(helpers->counters());
    };
    loop.run(submit, give_up, own.helper_timeout_ms);
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::nobody, serve); }
