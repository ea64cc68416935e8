#include "architectures/serve_connection.h"

#include <chrono>
#include <thread>

namespace bakeoff {
namespace {

// Descriptors ran out: how long until accepting is tried again.
constexpr auto exhausted_pause = std::chrono::milliseconds(100);

}  // namespace

void serve_connection(Connection& connection, Worker& worker) {
  for (;;) {
    worker.clock.refresh();
    if (connection.advance(worker) == Want::close) return;
    worker.clock.refresh();
    if (worker.clock.now_ms() >= connection.deadline_ms() && connection.expire(worker) == Want::close) return;
  }
}

int wait_for_client(Worker& worker) {
  for (;;) {
    const auto [outcome, fd] = worker.server.accept(worker);
    if (outcome == Listener::Outcome::exhausted) std::this_thread::sleep_for(exhausted_pause);
    if (outcome == Listener::Outcome::accepted) return fd;
  }
}

void accept_and_serve(Worker& worker) {
  for (;;) {
    Connection connection(wait_for_client(worker), worker);
    serve_connection(connection, worker);
  }
}

}  // namespace bakeoff
