// What is recorded of a server for `bakeoff trace`: what its workers did, from when to when, and for which connection.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace bakeoff {

enum class TraceKind : std::uint8_t {
  wait,            // in the event mechanism, or in accept; amount: descriptors found ready
  step,            // of a connection, on the processor
  step_on_socket,  // of a connection, in a call that may have waited for its socket
  step_on_disk,    // of a connection, in a call that may have waited for the disk
  rest,            // it waited for another thread of its server: it had nothing to do
  job,             // a helper brought a file into memory for a connection; it may have waited for the disk
  accepted,        // a connection; amount: its client's place (client_place())
  asked,           // by a client: a request left; amount: the client's place
  answered,        // a client has a reply; it began with the first byte; amount: bytes
  served,          // by an arm of a disk; amount: when the request was submitted, in ns
};

// Times are in ns of CLOCK_MONOTONIC, which all processes share.
struct TraceEvent {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::uint64_t amount = 0;      // of a step: bytes received or sent
  std::uint32_t cpu_ns = 0;      // of a step or job that may wait: on the processor; at most 4 s are told
  std::uint32_t delay_ns = 0;    // able to run, but not running: what the kernel counted since the event before
  std::uint32_t connection = 0;  // the server's own number for it, from 1; 0: none
  TraceKind kind = TraceKind::wait;
  std::uint8_t phase_before = 0;  // as core/phase.h has them
  std::uint8_t phase_after = 0;
  std::uint8_t want = 0;  // as core/want.h has them: what the connection wants after the step

  bool operator==(const TraceEvent&) const = default;
};
static_assert(std::has_unique_object_representations_v<TraceEvent>);
static_assert(sizeof(TraceEvent) == 5 * sizeof(std::uint64_t));

// Who records.
enum class LaneKind : std::uint32_t {
  worker,       // a loop, a process, a kernel thread
  user_thread,  // it is parked between its steps
  helper,
  arm,  // of a disk
  client,
};

}  // namespace bakeoff
