// What the load generator's JSON says of a trial.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "results/model.h"

namespace bakeoff {

// As the validity rules take it; the server's part is left empty. Throws nlohmann's exceptions for anything else.
LoadCounts counts_of_report(const nlohmann::json& report);

// Throughput, latency, errors. `allowed_ms`: what a reply may take before it violates the service level.
void note_load(const nlohmann::json& report, double allowed_ms, Figures& figures);

// The number under `key`; empty when there is none.
std::optional<double> optional_number(const nlohmann::json& object, const char* key);

}  // namespace bakeoff
