// The stages of a pipeline that wait in an event mechanism: WatPipe's second for requests, its third for room in a socket
// (Pariag 2007, section 6); SEDA's for the same two.
#pragma once

#include <memory>

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
  }

  // BLOCKS: network. Calls ready(fd) for each connection that need not wait any more; fills `arrived`.
  template <class Ready>
  void wait(Worker& worker, Ready ready) {
    const auto events = poller->wait(deadlines.wait_ms(worker.clock.now_ms()));
    worker.waited(*poller, events.size());
    for (const auto& event : events) event.fd == inbox.fd() ? inbox.take(arrived) : ready(event.fd);
  }
  void keep(const Connection& connection) {
    poller->watch(connection.fd(), interest);
    deadlines.set(connection.fd(), connection.deadline_ms());
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
