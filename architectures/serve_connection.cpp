#include "architectures/serve_connection.h"

#include <chrono>
#include <thread>

namespace bakeoff {
namespace {

// BLOCKS: until the worker's clock reaches deadline_ms. That clock may be a tick behind real time, so it loops.
void sleep_until(std::int64_t deadline_ms, Clock& clock) {
  for (; clock.now_ms() < deadline_ms; clock.refresh()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(deadline_ms - clock.now_ms()));
  }
}

}  // namespace

void serve_connection(Connection& connection, Worker& worker) {
  const bool closes_idle = worker.server.options().admission == Admission::close_idle;
  for (;;) {
    worker.clock.refresh();
    const Want want = connection.advance(worker);
    if (want == Want::close || connection.is_drained(worker)) return;
    if (closes_idle && connection.is_idle()) worker.server.make_room(worker);
    if (want == Want::timer) sleep_until(connection.deadline_ms(), worker.clock);
    worker.clock.refresh();
    if (worker.clock.now_ms() >= connection.deadline_ms() && connection.expire(worker) == Want::close) return;
  }
}

int wait_for_client(Worker& worker) {
  while (!worker.server.draining()) {
    const auto [outcome, fd] = worker.server.accept(worker);
    if (outcome == Listener::Outcome::exhausted)
      std::this_thread::sleep_for(std::chrono::milliseconds(exhausted_pause_ms));
    if (outcome == Listener::Outcome::accepted) return fd;
  }
  return -1;
}

void accept_and_serve(Worker& worker) {
  for (int fd; (fd = wait_for_client(worker)) >= 0;) {
    Connection connection(fd, worker);
    serve_connection(connection, worker);
  }
}

}  // namespace bakeoff
