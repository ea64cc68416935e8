// What a run has to say: the JSON document for programs, a few lines for people, and the verdict whether the figures
// are about the server at all.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/load/load.h"

namespace bakeoff {

enum class VerdictKind : std::uint8_t {
  valid,
  invalid,         // neither side is the cause
  client_limited,  // the client, not the server, set the figures
  server_failed,   // the server ended, or what it answered was wrong
};
std::string_view name_of(VerdictKind kind);

struct Verdict {
  VerdictKind kind = VerdictKind::valid;  // the last of those that the reasons are of
  std::vector<std::string> reasons;
  bool valid() const { return kind == VerdictKind::valid; }
};

// The server must have answered, correctly, and must not have refused connections once it had accepted some. The client
// must have had CPU time left (no worker above 95 % of a core). Requests in flight must agree with the connections by
// Little's law within 5 % (closed loops on kept connections). An open loop must have got 99 % of what it offered, and
// the requested connections must have been open. Failures of the server excuse the client.
// With several ranks, each of them must have stood its own test, too; reasons name its host.
Verdict judge(const LoadSpec& spec, const LoadResult& result);
// One rank on its share; its clock must not have stepped, nor must it have begun within the measured time.
Verdict judge_rank(const LoadSpec& spec, const RankResult& rank);

// HdrHistogram's percentile file, in ms.
void write_hgrm(std::ostream& out, const Histogram& histogram);

nlohmann::ordered_json to_json(const LoadSpec& spec, const LoadResult& result);
// In the lines of httperf's own summary, for scripts that read those.
std::string to_httperf_text(const LoadSpec& spec, const LoadResult& result);
std::string to_text(const LoadSpec& spec, const LoadResult& result);

}  // namespace bakeoff
