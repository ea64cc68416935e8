// The command line of every server: the factors that are not the architecture, in the same words everywhere, and what
// an architecture says of itself (which of them mean something to it).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/events/poller.h"
#include "core/files/body.h"
#include "core/files/residency.h"
#include "core/option_row.h"

namespace bakeoff {

// The sending socket's mode, and who waits when its send buffer is full.
enum class Sending : std::uint8_t {
  nonblocking,  // try; then wait for send-buffer space where the connection waits for requests, too
  blocking,     // wait in the call (Pariag 2007, section 5.3)
  poll_first,   // wait for send-buffer space before the first try (Knot's first non-blocking sendfile: section 4.3)
  timed,        // try; then whoever tried polls that socket for up to one second (Knot's second: section 4.3)
};
// Which goes first when clients come while connections are ready (von Behren 2003, section 5).
enum class AcceptPriority : std::uint8_t { arrival, ready, accepting };
// What happens to clients above --connections.
enum class Admission : std::uint8_t {
  wait,        // they stay in the kernel's backlog until a connection ends
  refuse,      // they are answered 503
  close_idle,  // the connection that has been idle longest is closed for them; while none is idle they wait
};
// How whoever serves a connection waits for its socket.
enum class Waiting : std::uint8_t {
  in_calls,       // in the call itself: sockets are in blocking mode, and no event mechanism is needed
  by_readiness,   // in an event mechanism that tells which sockets can be read or written
  by_completion,  // for operations that the kernel was given and reports when they are done
};

// Largest body that --body=auto sends from user memory in one call with the head: above it sendfile costs less
// (core/README.md, "Where auto changes over").
inline constexpr std::uint64_t auto_limit_default_bytes = 24 * 1024;

struct Options {
  std::string root;
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: any free one; the ready line tells
  int workers = 1;
  int connections = 0;  // most at once, over all workers; 0: as many as descriptors allow
  EventMechanism poller = EventMechanism::epoll;
  BodyKind body = BodyKind::automatic;
  std::uint64_t auto_limit_bytes = auto_limit_default_bytes;
  Sending send = Sending::nonblocking;
  bool reuseport = false;  // each worker process has a listening socket of its own (SO_REUSEPORT)
  AcceptPriority accept_priority = AcceptPriority::arrival;
  int accept_limit = 0;  // accepts per readiness of the listening socket; 0: until it has no more
  Admission admission = Admission::wait;
  bool cache_paths = true;
  bool cache_heads = true;
  bool cache_files = true;
  bool align_heads = false;  // heads begin at a multiple of 32 bytes and are padded to one (Pai 1999, section 5.5)
  int cache_entries = 4096;
  std::uint64_t cache_bytes = 128u << 20;
  std::int64_t cache_valid_ms = 60'000;
  Residency residency = Residency::none;
  std::int64_t request_timeout_ms = 15'000;
  std::int64_t idle_timeout_ms = 60'000;
  std::int64_t send_timeout_ms = 60'000;
  std::int64_t drain_ms = 0;  // how long replies under way may take once the server is asked to end
  int backlog = 4096;
  std::string congestion = "cubic";
  int send_buffer_bytes = 0;  // 0: as the kernel tunes it
  bool defer_accept = false;
  bool dynamic = false;  // targets of synthetic_reply.h are answered
  int trace_events = 0;  // that each worker keeps of what it did, for bakeoff trace; 0: nothing is recorded

  // What follows is worked out, not typed.
  int descriptors = 0;         // one past the highest descriptor that a process may have
  int deadline_grain_ms = 50;  // how late a deadline may be found
};

// What an architecture says of itself. An empty list: the factor means nothing there, and giving it is refused.
// The first value of a list is the default.
struct Architecture {
  std::string_view name;
  std::string_view paper;
  std::string_view workers_are;  // "one event loop", "processes", ...
  int workers_least = 1;
  int workers_most = 1;
  int workers_default = 1;
  Waiting waiting = Waiting::by_readiness;
  std::vector<EventMechanism> pollers = {};  // with Waiting::by_readiness alone
  std::vector<BodyKind> bodies = {};
  std::vector<Sending> sends = {};
  std::vector<Residency> residencies = {Residency::none};
  std::vector<AcceptPriority> accept_priorities = {};
  bool can_refuse = true;                   // somebody is free to answer 503 while all connections are in use
  bool connections_are_threads = false;     // --connections threads are made beforehand, one for each
  bool connections_are_workers = false;     // each worker holds one connection at a time
  bool descriptors_are_per_worker = false;  // workers are processes with descriptor tables of their own
  bool can_listen_apart = false;            // --reuseport means something: workers are processes that accept
  int own_descriptors_per_worker = 0;       // besides connections, cached files and one event mechanism
  // The options that this architecture alone has, and what it rejects because of them.
  std::vector<OptionRow> own_options = {};
  void (*check)(const Options& options) = nullptr;  // throws UsageError
};

// The lists that most architectures share.
std::vector<EventMechanism> all_pollers();
std::vector<BodyKind> all_bodies();
std::vector<AcceptPriority> all_accept_priorities();

// Reads the command line, including own options. Throws UsageError with one sentence. Returns nothing after --help or
// --describe, which are answered on stdout. --describe first checks the rest of the command line; it prints describe()
// and "connections", the most that this command line holds.
std::optional<Options> parse_options(int argc, const char* const* argv, const Architecture& architecture);

// Why --admission=refuse is rejected where nobody is free to refuse a client.
inline constexpr const char* nobody_can_refuse =
    "--admission=refuse means nothing here: while every worker serves a connection, nobody is free to refuse another; "
    "use --admission=wait";

// The effective options, without those that mean nothing to the architecture.
nlohmann::ordered_json to_json(const Options& options, const Architecture& architecture);
// What --describe prints. Under "options" each option has the list of its values, the default first; an empty list
// where it means nothing; or, where it takes a number, a time or the like, what stands for its value in the help.
nlohmann::ordered_json describe(const Architecture& architecture);

}  // namespace bakeoff
