// When a cell is valid. The rules are Pariag's (2007, section 5: time-outs, file sizes, starved clients), and two for
// the client: it generated the load that was asked for, and was not the bottleneck. The load generator judges its own
// run by the same formulas.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bakeoff {

struct ValidityLimits {
  double timeouts = 0.10;   // share of the requests that may time out, over all
  double file_size = 0.02;  // how far one file size's share of time-outs may lie above the share over all
  double starved = 0.05;    // share of the connections that may stay without a single reply
  double offered = 0.99;    // open loop: share of the offered load that must be achieved
  double little = 0.05;     // closed loop: |connections in Little's law / connections open - 1|
  double client_busy =
      0.95;  // the busiest client thread's share of a processor above which the client may be the bottleneck ...
  double server_busy = 0.95;  // ... unless the server's processors are this busy themselves
  double failures = 0.01;     // share of the requests that may fail for other causes than time-outs
};

// What a client saw in the measured time of a trial, or of several: all of it adds up.
struct LoadCounts {
  struct SizeClass {
    std::uint64_t size_bytes = 0;
    std::uint64_t attempts = 0;
    std::uint64_t timeouts = 0;
  };
  std::uint32_t trials = 1;
  double measured_s = 0;
  std::uint64_t replies = 0;
  std::uint64_t timeouts = 0;                  // of connecting and of waiting for a reply
  std::uint64_t failures = 0;                  // all other causes
  std::map<std::string, std::uint64_t> kinds;  // of those other causes, as the load generator calls them
  std::uint64_t wrong_replies = 0;             // wrong bytes or wrong length: none is ever accepted
  std::uint64_t without_port = 0;              // connections that the client had no port for
  std::optional<std::uint64_t> offered;        // open loop only: requests
  std::uint64_t connections_asked = 0;
  std::uint64_t connections_opened = 0;
  std::uint64_t starved_connections = 0;
  // Requests under way, summed over time; empty where Little's law does not tell (open loops, think times, pipelining,
  // connections that are opened again and again: setting them up is left out of it).
  std::optional<double> in_flight_s;
  std::vector<SizeClass> classes;
  std::optional<double> busiest_client_s;  // CPU time of the client's busiest thread
  // CPU time of the server's processors over their number, and the time over which that was taken: of the trials that
  // know it.
  std::optional<double> server_busy_s;
  double server_sampled_s = 0;
};

LoadCounts operator+(const LoadCounts& a, const LoadCounts& b);

nlohmann::json to_json(const LoadCounts& counts);
LoadCounts counts_from_json(const nlohmann::json& json);  // throws nlohmann's exceptions for anything else

// Whose doing a broken rule is.
enum class Side { server, client };

struct BrokenRule {
  Side side;
  std::string text;  // a clause fit for a table's footnote
};

// The rules that these counts break; empty: none.
std::vector<BrokenRule> broken_rules(const LoadCounts& counts, const ValidityLimits& limits);

}  // namespace bakeoff
