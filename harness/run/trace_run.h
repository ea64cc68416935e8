// One server traced: started with recording on, put under the specification's scene or load, and read.
#pragma once

#include <cstdint>
#include <string>

#include "harness/ground/file_sets.h"
#include "harness/ground/programs.h"
#include "harness/machine/topology.h"
#include "harness/plan/specification.h"
#include "results/model.h"
#include "results/timeline/timeline.h"

namespace bakeoff {

struct TraceBounds {
  std::uint64_t requests = 300;  // of a load, not of a scene, which ends by itself
  double duration_s = 1;         // of either
};

struct TraceRun {
  TraceRecord record;
  std::string remark;  // what the reader should know: the server died, the scene did not end in time; mostly empty
};

// REQUIRES: spec.trace_events > 0, and the cell's server is one of ours. StartError when something does not start.
// BLOCKS: for the trace's duration.
TraceRun trace_server(Programs& programs, const Specification& spec, const FileSets& file_sets,
                      const Placement& placement, const Cell& cell, TraceBounds bounds);

}  // namespace bakeoff
