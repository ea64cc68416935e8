// What a run has to say: the JSON document for programs, a few lines for people, and the verdict whether the figures are
// about the server at all.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/load/load.h"

namespace bakeoff {

struct Verdict {
  bool valid = true;
  bool client_limited = false;  // the client, not the server, set the figures
  std::vector<std::string> reasons;
};

// The client must not have been out of processor time (more than 95 % of a core in any worker), requests in flight must
// agree with the connections by Little's law within 5 % (closed loops on kept connections), the connections asked for
// must have been open, and no reply's bytes may have been wrong.
Verdict judge(const LoadSpec& spec, const LoadResult& result);

// HdrHistogram's percentile file, in ms.
void write_hgrm(std::ostream& out, const Histogram& histogram);

nlohmann::ordered_json to_json(const LoadSpec& spec, const LoadResult& result);
// In the lines of httperf's own summary, for scripts that read those.
std::string to_httperf_text(const LoadSpec& spec, const LoadResult& result);
std::string to_text(const LoadSpec& spec, const LoadResult& result);

}  // namespace bakeoff
