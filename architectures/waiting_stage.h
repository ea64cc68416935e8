// The stages that wait in an event mechanism: WatPipe's second for requests, its third for send-buffer space (Pariag
// 2007, section 6); SEDA's for the same two.
#pragma once

#include <memory>
#include <new>

#include "core/connection.h"
#include "core/events/deadline_wheel.h"
#include "core/events/poller.h"
#include "core/server.h"
#include "core/stages/stage_handover.h"

namespace bakeoff {

// A stage whose connections all wait for one thing, and a place where the stage before leaves more.
struct WaitingStage {
  WaitingStage(Server& server, StageInbox& its_inbox, Interest its_interest)
      : inbox(its_inbox),
        interest(its_interest),
        poller(server.make_poller()),
        deadlines(server.options().descriptors, server.options().deadline_grain_ms),
        arrived(server.options().descriptors),
        leaving(server.options().descriptors) {
    poller->watch(inbox.fd(), Interest::read);
    poller->watch(server.drain_fd(), Interest::read);
  }

  // BLOCKS: network. Calls ready(fd) for each connection whose wait is over; fills `arrived`. Once, when the server
  // drains, calls drain(fd) for each that waits.
  template <class Ready, class Drain>
  void wait(Worker& worker, Ready ready, Drain drain) {
    worker.waits();
    const auto events = poller->wait(deadlines.wait_ms(worker.clock.now_ms()));
    worker.waited(*poller, events.size());
    bool drains = false;
    for (const auto& event : events) {
      if (event.fd == inbox.fd()) {
        inbox.take(arrived);
      } else if (event.fd == worker.server.drain_fd()) {
        drains = true;
      } else {
        ready(event.fd);
      }
    }
    if (!drains) return;
    poller->forget(worker.server.drain_fd());
    deadlines.for_each(drain);
  }
  // False when the server drains and the connection is idle, or when there is no memory to wait (counted); the caller
  // then ends it.
  bool keep(const Connection& connection, Worker& worker) {
    if (connection.is_drained(worker)) return false;
    try {
      poller->watch(connection.fd(), interest);
    } catch (const std::bad_alloc&) {
      worker.stats.closed_no_memory.add();
      return false;
    }
    deadlines.set(connection.fd(), connection.deadline_ms());
    return true;
  }
  void pause(const Connection& connection) {  // until its deadline, and for nothing else
    poller->watch(connection.fd(), Interest::none);
    deadlines.set(connection.fd(), connection.deadline_ms());
  }
  void release(int fd) {  // to whoever takes it
    poller->forget(fd);
    deadlines.clear(fd);
  }
  void let_go(int fd) {  // to the next stage
    release(fd);
    leaving.insert(fd);
  }
  void let_die(int fd) {
    poller->closing(fd);
    deadlines.clear(fd);
  }

  StageInbox& inbox;
  Interest interest;
  std::unique_ptr<Poller> poller;
  DeadlineWheel deadlines;
  DescriptorSet arrived;
  DescriptorSet leaving;
};

}  // namespace bakeoff
