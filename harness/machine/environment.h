// The machine and the programs, written into every result. What cannot be found out is null.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "harness/ground/programs.h"
#include "harness/plan/specification.h"

namespace bakeoff {

// Where server and client run. On one processor: nowhere in particular. On two or more the client has one of its own,
// since what it takes from the server's processor would be charged to nobody.
struct Placement {
  std::vector<int> server_processors;
  std::vector<int> client_processors;
};
// UsageError when the specification names a processor that this process may not use.
Placement place(const Specification& spec);

// The processors that a run on that placement has to itself: all that it may use where nothing is pinned.
std::vector<int> measured_processors(const Placement& placement);

// BLOCKS: disk.
nlohmann::json capture_environment(const Specification& spec, const Programs& programs, const Placement& placement);

// UTC, "2024-05-01T12:00:00Z".
std::string utc_now();

}  // namespace bakeoff
