// The machine and the programs, written into every result. What cannot be found out is null.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "harness/ground/programs.h"
#include "harness/machine/topology.h"
#include "harness/plan/specification.h"

namespace bakeoff {

// BLOCKS: disk.
nlohmann::json capture_environment(const Specification& spec, const Programs& programs, const Placement& placement);

// UTC, "2024-05-01T12:00:00Z".
std::string utc_now();

}  // namespace bakeoff
