// The one seam between the core and an architecture: what a connection would have to wait for.
// An architecture is an answer to: when a connection wants something, who waits for it?
#pragma once

#include <cstdint>

namespace bakeoff {

enum class Want : std::uint8_t {
  readable,  // bytes from the peer
  writable,  // space in the socket's send buffer
  disk,      // a name or a page that may not be in memory: the next step waits for it itself
  timer,     // its deadline, and nothing else: then expire() goes on
  close,     // nothing any more: the connection is over
};

}  // namespace bakeoff
