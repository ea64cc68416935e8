// Where the data that ships with bakeoff is: workloads, experiments, presets, schemas.
#pragma once

#include <filesystem>

namespace bakeoff {

// $BAKEOFF_DATA; else share/bakeoff beside the installed binary; else the source tree this was built from.
std::filesystem::path data_dir();

}  // namespace bakeoff
