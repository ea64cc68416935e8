// When a trial counts. The rules are Pariag's (2007, section 5: time-outs, file sizes, starved clients) and those of an
// honest client: it had what it asked for, and it was not the bottleneck itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bakeoff {

struct ValidityLimits {
  double timeouts = 0.10;      // share of the requests that may time out, over all
  double file_size = 0.02;     // how far one file size's share of time-outs may lie above the share over all
  double starved = 0;          // share of the connections that may stay without a single reply
  double offered = 0.99;       // open loop: share of the offered load that must be achieved
  double little = 0.05;        // closed loop: |connections in Little's law / connections open - 1|
  double client_busy = 0.95;   // client's share of its processor above which it may be the bottleneck ...
  double server_busy = 0.95;   // ... unless the server's processors are this busy themselves
  double failures = 0.01;      // share of the requests that may fail for other causes than time-outs
};

// What the client saw, in the measured time. Empty: could not be had.
struct ClientReport {
  struct SizeClass {
    std::uint64_t size_bytes = 0;
    std::uint64_t attempts = 0;
    std::uint64_t timeouts = 0;
  };
  std::uint64_t replies = 0;
  std::uint64_t timeouts = 0;        // of connecting and of waiting for a reply
  std::uint64_t failures = 0;        // all other causes
  std::uint64_t wrong_replies = 0;   // wrong bytes or wrong length: none is ever accepted
  double replies_per_s = 0;
  std::optional<double> offered_per_s;       // open loop only
  std::optional<double> latency_mean_ms;
  std::optional<double> in_flight_mean;      // requests under way, averaged over time; else throughput * latency
  std::uint32_t connections_asked = 0;
  std::uint32_t connections_opened = 0;
  std::uint32_t starved_connections = 0;
  bool keep_alive = true;                    // Little's law leaves out connection set-up: only then is it checked
  std::vector<SizeClass> classes;
  std::optional<double> client_cpu_share;    // of the processors it was given, 0 to 1
};

// `server_busy_share`: of the server's processors, 0 to 1; empty: could not be had.
// Returns one reason a broken rule, each a clause fit for a table's footnote; empty when the trial counts.
std::vector<std::string> broken_rules(const ClientReport& client, std::optional<double> server_busy_share, const ValidityLimits& limits);

}  // namespace bakeoff
