// What earlier runs left.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "results/model.h"

namespace bakeoff {

// UsageError when it cannot be read, or is not JSON. BLOCKS: disk.
nlohmann::json read_json(const std::filesystem::path& file);

// Of a run's folder, or of its result.json. UsageError when there is none, or it is damaged or of a newer version.
// BLOCKS: disk.
ExperimentResult read_result(const std::filesystem::path& folder_or_file);

}  // namespace bakeoff
