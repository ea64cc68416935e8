// The event loop of SPED, SYMPED, shared-SYMPED and AMPED: get events, handle each without blocking on its socket,
// repeat (Pariag 2007, section 5.1). The four differ in how many loops there are, and in who waits when a connection
// wants the disk.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/connection.h"
#include "core/events/deadline_wheel.h"
#include "core/events/poller.h"
#include "core/server.h"

namespace bakeoff {

class EventLoop {
 public:
  // most_connections: how many this loop holds at once. REQUIRES: it is the only loop of its process.
  EventLoop(Server& server, Worker& worker, int most_connections);

  // Waits for the disk on behalf of the connection and returns what it wants then; or lets a helper wait and returns
  // nothing: resume() follows.
  using WaitForDisk = std::function<std::optional<Want>(Connection& connection)>;

  // The helper has waited too long for the disk: it must stop.
  using GiveUp = std::function<void(Connection& connection)>;

  // Returns when the server is asked to end. A helper may wait for the disk for most_wait_ms (0: for ever); then the
  // connection gets a 503, or is closed if its reply has begun.
  void run(const WaitForDisk& wait_for_disk, const GiveUp& give_up = {}, std::int64_t most_wait_ms = 0);

  // A helper has waited for the disk that the connection on fd wanted.
  void resume(int fd);

  // Calls `readable` whenever fd, which is not a connection's, is readable.
  void watch(int fd, std::function<void()> readable);
  void forget(int fd);

 private:
  void accept_connections();
  void settle(Connection& connection, Want want);
  void settle_or_throw(Connection& connection, Want want);
  void end_wait_for_disk(Connection& connection);
  void end(int fd);
  void drain();
  void pause_accepting();
  void accept_later(std::int64_t pause_ms);
  void resume_accepting();

  Server& server_;
  Worker& worker_;
  int most_connections_;
  std::unique_ptr<Poller> poller_;
  DeadlineWheel deadlines_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::map<int, std::function<void()>> others_;           // by descriptor
  const WaitForDisk* wait_for_disk_ = nullptr;
  const GiveUp* give_up_ = nullptr;
  std::int64_t most_wait_ms_ = 0;
  bool accepting_ = true;
  bool ending_ = false;
};

}  // namespace bakeoff
