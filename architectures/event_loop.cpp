#include "architectures/event_loop.h"

#include <algorithm>

namespace bakeoff {
namespace {

// Descriptors ran out: how long until accepting is tried again, should no connection end before.
constexpr std::int64_t exhausted_pause_ms = 100;

}  // namespace

EventLoop::EventLoop(Server& server, Worker& worker, int most_connections)
    : server_(server),
      worker_(worker),
      most_connections_(most_connections),
      poller_(server.make_poller()),
      deadlines_(server.options().descriptors, server.options().deadline_grain_ms),
      connections_(static_cast<std::size_t>(server.options().descriptors)) {
  poller_->watch(server_.listener().fd(), Interest::read);
  watch(server_.stop_fd(), [this] { ending_ = true; });
}

void EventLoop::run(const WaitForDisk& wait_for_disk) {
  wait_for_disk_ = &wait_for_disk;
  const Favour favour = server_.options().favour;
  while (!ending_) {
    const auto events = poller_->wait(deadlines_.wait_ms(worker_.clock.now_ms()));
    worker_.waited(*poller_, events.size());
    const bool clients_wait = std::any_of(events.begin(), events.end(),
                                          [&](const Ready& event) { return event.fd == server_.listener().fd(); });
    if (clients_wait && favour == Favour::accepting) accept_connections();
    for (const Ready& event : events) {
      if (Connection* connection = connections_[static_cast<std::size_t>(event.fd)].get()) {
        settle(*connection, connection->advance(worker_));
      } else if (event.fd == server_.listener().fd()) {
        if (favour == Favour::arrival) accept_connections();
      } else if (const auto other = others_.find(event.fd); other != others_.end()) {
        other->second();
      }
    }
    if (clients_wait && favour == Favour::ready) accept_connections();
    deadlines_.expire(worker_.clock.now_ms(), [this](int fd) {
      if (fd == server_.listener().fd()) {
        accepting_ = true;
        poller_->watch(fd, Interest::read);
      } else {
        Connection& connection = *connections_[static_cast<std::size_t>(fd)];
        const Want want = connection.expire(worker_);
        settle(connection, want == Want::writable ? connection.advance(worker_) : want);  // a reply that is due now
      }
    });
  }
}

void EventLoop::settle(Connection& connection, Want want) {
  while (want == Want::disk) {
    const std::optional<Want> next = (*wait_for_disk_)(connection);
    if (!next) {  // its deadline rests with it: the disk is not the client's fault
      poller_->watch(connection.fd(), Interest::none);
      deadlines_.clear(connection.fd());
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
    const bool full = open_connections_ >= most_connections_;
    if (full && server_.options().admission == Admission::wait) {
      pause_accepting();
      return;
    }
    const auto [outcome, fd] = server_.accept(worker_);
    if (outcome == Listener::Outcome::none) return;
    if (outcome == Listener::Outcome::exhausted) {
      pause_accepting();
      deadlines_.set(server_.listener().fd(), worker_.clock.now_ms() + exhausted_pause_ms);
      return;
    }
    if (full) {
      Connection::refuse(fd, worker_);
      continue;
    }
    ++open_connections_;
    auto& connection = connections_[static_cast<std::size_t>(fd)];
    connection = std::make_unique<Connection>(fd, worker_);
    settle(*connection, Want::readable);
  }
}

void EventLoop::pause_accepting() {
  accepting_ = false;
  poller_->watch(server_.listener().fd(), Interest::none);
}

void EventLoop::end(int fd) {
  deadlines_.clear(fd);
  poller_->closing(fd);
  connections_[static_cast<std::size_t>(fd)].reset();
  --open_connections_;
  if (!accepting_) {
    accepting_ = true;
    deadlines_.clear(server_.listener().fd());
    poller_->watch(server_.listener().fd(), Interest::read);
  }
}

void EventLoop::watch(int fd, std::function<void()> readable) {
  others_[fd] = std::move(readable);
  poller_->watch(fd, Interest::read);
}

void EventLoop::forget(int fd) {
  others_.erase(fd);
  poller_->forget(fd);
}

}  // namespace bakeoff
