#include "architectures/serve_connection.h"

#include <chrono>
#include <thread>

namespace bakeoff {
namespace {

// Descriptors ran out: how long until accepting is tried again.
constexpr auto exhausted_pause = std::chrono::milliseconds(100);

// BLOCKS: until then, by the worker's clock, which may be a tick behind: hence the loop.
void sleep_until(std::int64_t deadline_ms, Clock& clock) {
  for (; clock.now_ms() < deadline_ms; clock.refresh()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(deadline_ms - clock.now_ms()));
  }
}

}  // namespace

void serve_connection(Connection& connection, Worker& worker) {
  for (;;) {
    worker.clock.refresh();
    const Want want = connection.advance(worker);
    if (want == Want::close) return;
    if (want == Want::timer) sleep_until(connection.deadline_ms(), worker.clock);
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
