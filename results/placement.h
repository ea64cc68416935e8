// What the tables say of where server, client and harness ran.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "results/model.h"

namespace bakeoff {

// The sentence about it, with a line's end; empty where the environment has none.
std::string placement_note(const nlohmann::json& environment);

// "+" for more workers than the server has processors, else "".
const char* worker_mark(const nlohmann::json& environment, std::uint32_t workers);

// The line that explains the mark; empty where no cell has it.
std::string worker_mark_note(const ExperimentResult& result);

}  // namespace bakeoff
