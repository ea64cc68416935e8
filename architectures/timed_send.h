// --send=timed of Knot and WatPipe: a thread that finds no send-buffer space polls that one socket for up to a second
// and tries once more. No other thread waits for it meanwhile (Pariag 2007, section 4.3).
#pragma once

#include "core/connection.h"
#include "core/events/poller.h"
#include "core/server.h"

namespace bakeoff {

// attempt() tries to send once and returns what the connection wants then. Returns what the last attempt returned.
// BLOCKS: network, for a second; and as attempt() does.
template <class Attempt>
auto send_timed(Connection& connection, Worker& worker, Attempt attempt) {
  constexpr int patience_ms = 1000;
  const std::uint64_t left = connection.body_bytes_left();
  const auto want = attempt();
  if (want != Want::writable || connection.body_bytes_left() != left) return want;  // some bytes were sent
  worker.stats.room_waits.add();
  worker.waits();
  const bool ready = wait_until_writable(connection.fd(), patience_ms);  // however it ends, the second attempt tells
  if (worker.trace != nullptr) worker.trace->end_wait(ready ? 1 : 0);
  worker.clock.refresh();
  return attempt();
}

}  // namespace bakeoff
