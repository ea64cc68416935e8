// The command line of every server: the factors that are not the architecture, in the same words everywhere, and what
// an architecture says of itself (which of them mean something to it).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/files/body.h"
#include "core/workers/helper_pool.h"
#include "core/events/poller.h"
#include "core/files/residency.h"

namespace bakeoff {

// The sending socket's mode, and who waits when there is no room in it.
enum class Sending : std::uint8_t {
  nonblocking,  // try; then wait for room where the connection waits for requests, too
  blocking,     // wait in the call (Pariag 2007, section 5.3)
  poll_first,   // wait for room before the first try (Knot's first non-blocking sendfile: section 4.3)
  timed,        // try; then whoever tried polls that socket for up to one second (Knot's second: section 4.3)
};
// Which goes first when clients come while connections are ready (von Behren 2003, section 5).
enum class Favour : std::uint8_t { arrival, ready, accepting };
enum class Admission : std::uint8_t { wait, refuse };
enum class Dispatch : std::uint8_t { boss, accept };
enum class ThreadKind : std::uint8_t { user, kernel };

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
  Favour favour = Favour::arrival;
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
  int backlog = 4096;
  std::string congestion = "cubic";
  int send_buffer_bytes = 0;  // 0: as the kernel tunes it
  bool defer_accept = false;
  bool dynamic = false;  // targets of made_reply.h are answered
  HelperKind helpers = HelperKind::processes;
  Dispatch dispatch = Dispatch::boss;
  ThreadKind threads = ThreadKind::user;
  int queue_bound = 1024;                // events that a stage's queue holds at most
  std::int64_t thread_control_ms = 2000; // how often the thread-pool controller looks; 0: off
  bool batch_control = false;
  std::int64_t overload_target_ms = 0;   // of the overload controller's 90th percentile; 0: off

  // What follows is worked out, not typed.
  int descriptors = 0;          // one past the highest descriptor that a process may have
  int deadline_grain_ms = 50;   // how late a deadline may be found
  bool waits_in_calls = false;  // who serves a connection blocks in the call: no event mechanism
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
  std::vector<EventMechanism> pollers = {};
  std::vector<BodyKind> bodies = {};
  std::vector<Sending> sends = {};
  std::vector<Residency> residencies = {Residency::none};
  std::vector<HelperKind> helpers = {};
  std::vector<Dispatch> dispatches = {};
  std::vector<ThreadKind> thread_kinds = {};
  std::vector<Favour> favours = {};
  bool accepts_in_batches = true;           // --accept-limit means something: accepting follows readiness
  bool can_refuse = true;                   // somebody is free to answer 503 while all connections are in use
  bool has_stages = false;                  // event queues and their controllers
  bool connections_are_threads = false;     // --connections threads are made beforehand, one for each
  bool connections_are_workers = false;     // each worker holds one connection at a time
  bool descriptors_are_per_worker = false;  // workers are processes with descriptor tables of their own
  bool can_listen_apart = false;            // --reuseport means something: workers are processes that accept
};

// The lists that most architectures share.
std::vector<EventMechanism> all_pollers();
std::vector<BodyKind> all_bodies();
std::vector<Favour> all_favours();

// Throws UsageError with one sentence. Nothing is returned after --help or --describe, which are answered on stdout.
std::optional<Options> parse_options(int argc, const char* const* argv, const Architecture& architecture);

nlohmann::ordered_json to_json(const Options& options, const Architecture& architecture);
nlohmann::ordered_json describe(const Architecture& architecture);

// "300ms", "15s", "2m" -> ms; "64", "64K", "64KiB", "1M", "2GiB" -> bytes (powers of 1024). Throw UsageError.
std::int64_t parse_duration_ms(std::string_view text);
std::uint64_t parse_size_bytes(std::string_view text);

}  // namespace bakeoff
