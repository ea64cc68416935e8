// What a connection is at: its transitions are in connection.cpp.
#pragma once

#include <cstdint>

namespace bakeoff {

enum class ServingPhase : std::uint8_t {
  receiving,  // reading and parsing a request
  resolving,  // from its name to a pinned file
  pausing,    // a synthetic reply is not yet due
  sending,    // head and body
  skipping,   // the rest of a request's body that nobody asked for
  draining,   // the response said close: bytes still sent by the peer are read and dropped, or a reset would destroy
              // the response
};

}  // namespace bakeoff
