#include "architectures/event_loop.h"

#include <algorithm>
#include <new>

namespace bakeoff {

EventLoop::EventLoop(Server& server, Worker& worker, int most_connections)
    : server_(server),
      worker_(worker),
      most_connections_(most_connections),
      poller_(server.make_poller()),
      deadlines_(server.options().descriptors, server.options().deadline_grain_ms),
      connections_(static_cast<std::size_t>(server.options().descriptors)) {
  poller_->watch(worker_.listener.fd(), Interest::read);
  watch(server_.stop_fd(), [this] { ending_ = !server_.drains_after_signal(); });
  watch(server_.drain_fd(), [this] { drain(); });
}

void EventLoop::run(const WaitForDisk& wait_for_disk, const GiveUp& give_up, std::int64_t most_wait_ms) {
  wait_for_disk_ = &wait_for_disk;
  give_up_ = &give_up;
  most_wait_ms_ = most_wait_ms;
  const AcceptPriority accept_priority = server_.options().accept_priority;
  while (!ending_) {
    worker_.waits();
    const auto events = poller_->wait(deadlines_.wait_ms(worker_.clock.now_ms()));
    worker_.waited(*poller_, events.size());
    const bool clients_wait = std::any_of(events.begin(), events.end(),
                                          [&](const Ready& event) { return event.fd == worker_.listener.fd(); });
    if (clients_wait && accept_priority == AcceptPriority::accepting) accept_connections();
    for (const Ready& event : events) {
      if (Connection* connection = connections_[static_cast<std::size_t>(event.fd)].get()) {
        settle(*connection, connection->advance(worker_));
      } else if (event.fd == worker_.listener.fd()) {
        if (accept_priority == AcceptPriority::arrival) accept_connections();
      } else if (const auto other = others_.find(event.fd); other != others_.end()) {
        try {
          other->second();
        } catch (const std::bad_alloc&) {
          // The descriptor stays readable: it comes again.
        }
      }
    }
    if (clients_wait && accept_priority == AcceptPriority::ready) accept_connections();
    deadlines_.expire(worker_.clock.now_ms(), [this](int fd) {
      if (fd == worker_.listener.fd()) {
        resume_accepting();
      } else if (fd == server_.drain_fd()) {
        ending_ = true;
      } else {
        Connection& connection = *connections_[static_cast<std::size_t>(fd)];
        if (connection.wants_disk()) return end_wait_for_disk(connection);
        const Want want = connection.expire(worker_);
        settle(connection, want == Want::writable ? connection.advance(worker_) : want);  // a reply that is due now
      }
    });
  }
}

void EventLoop::end_wait_for_disk(Connection& connection) {
  try {
    (*give_up_)(connection);
  } catch (const std::bad_alloc&) {
    deadlines_.set(connection.fd(), worker_.clock.now_ms() + exhausted_pause_ms);  // again
    return;
  }
  const Want want = connection.may_reject() ? connection.reject(worker_) : Want::close;
  settle(connection, want == Want::writable ? connection.advance(worker_) : want);
}

// No memory to wait with ends the connection, and no other.
void EventLoop::settle(Connection& connection, Want want) {
  try {
    settle_or_throw(connection, want);
  } catch (const std::bad_alloc&) {
    worker_.stats.closed_no_memory.add();
    end(connection.fd());
  }
}

void EventLoop::settle_or_throw(Connection& connection, Want want) {
  while (want == Want::disk) {
    const std::optional<Want> next = (*wait_for_disk_)(connection);
    if (!next) {  // its own deadline rests: the disk is not the client's fault
      poller_->watch(connection.fd(), Interest::none);
      deadlines_.set(connection.fd(),
                     most_wait_ms_ > 0 ? worker_.clock.now_ms() + most_wait_ms_ : DeadlineWheel::never);
      return;
    }
    want = *next;
  }
  if (want == Want::close) {
    end(connection.fd());
    return;
  }
  poller_->watch(connection.fd(), want == Want::readable   ? Interest::read
                                  : want == Want::writable ? Interest::write
                                                           : Interest::none);
  deadlines_.set(connection.fd(), connection.deadline_ms());
}

void EventLoop::resume(int fd) {
  Connection& connection = *connections_[static_cast<std::size_t>(fd)];
  settle(connection, connection.advance(worker_));
}

void EventLoop::accept_connections() {
  const int limit = server_.options().accept_limit;
  for (int accepted = 0; limit == 0 || accepted < limit; ++accepted) {
    const int open = server_.occupancy().open();
    const bool full = open >= most_connections_;
    if (full && server_.options().admission == Admission::wait) {
      pause_accepting();
      return;
    }
    const bool closes_idle = full && server_.options().admission == Admission::close_idle;
    // One above the bound is the newcomer in whose place another leaves.
    if (closes_idle && (open > most_connections_ || !server_.occupancy().can_make_room(server_.options().reuseport))) {
      pause_accepting();
      accept_later(full_house_pause_ms);
      return;
    }
    const auto [outcome, fd] = server_.accept(worker_);
    if (outcome == Listener::Outcome::none) return;
    if (outcome == Listener::Outcome::exhausted) {
      pause_accepting();
      accept_later(exhausted_pause_ms);
      return;
    }
    if (closes_idle) {
      server_.occupancy().end_longest_idle();
    } else if (full) {
      Connection::refuse(fd, worker_);
      continue;
    }
    auto& connection = connections_[static_cast<std::size_t>(fd)];
    connection = Connection::make(fd, worker_);
    if (!connection) continue;
    settle(*connection, Want::readable);
  }
}

void EventLoop::pause_accepting() {
  accepting_ = false;
  poller_->watch(worker_.listener.fd(), Interest::none);
}

void EventLoop::accept_later(std::int64_t pause_ms) {
  deadlines_.set(worker_.listener.fd(), worker_.clock.now_ms() + pause_ms);
}

void EventLoop::drain() {
  forget(server_.drain_fd());
  pause_accepting();
  deadlines_.clear(worker_.listener.fd());
  deadlines_.set(server_.drain_fd(), server_.drain_until_ms());
  if (server_.occupancy().open() == 0) ending_ = true;
  for (const auto& connection : connections_) {
    if (connection && connection->is_drained(worker_)) end(connection->fd());
  }
}

void EventLoop::resume_accepting() {
  if (server_.draining()) return;
  try {
    poller_->watch(worker_.listener.fd(), Interest::read);
    deadlines_.clear(worker_.listener.fd());
    accepting_ = true;
  } catch (const std::bad_alloc&) {
    accept_later(exhausted_pause_ms);
  }
}

void EventLoop::end(int fd) {
  deadlines_.clear(fd);
  poller_->closing(fd);
  connections_[static_cast<std::size_t>(fd)].reset();
  if (!accepting_) resume_accepting();
  if (server_.occupancy().open() == 0 && server_.draining()) ending_ = true;
}

void EventLoop::watch(int fd, std::function<void()> readable) {
  others_[fd] = std::move(readable);
  try {
    poller_->watch(fd, Interest::read);
  } catch (...) {
    others_.erase(fd);
    throw;
  }
}

void EventLoop::forget(int fd) {
  others_.erase(fd);
  poller_->forget(fd);
}

}  // namespace bakeoff
