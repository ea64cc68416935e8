// A run keeps copies of the files that its specification names, so that what was measured can be told, resumed
// and repeated.
#pragma once

#include <filesystem>

#include "harness/plan/specification.h"
#include "harness/run/run_folder.h"

namespace bakeoff {

// Copies all of the specification's inputs into the folder and lists them in its inputs.json, with their SHA-256.
// From then on load_specification() of the folder's spec.toml reads the copies. StartError when the disk is full.
// BLOCKS: disk.
void keep_inputs(const Specification& spec, RunFolder& folder);

// UsageError when a copy is not what it was when the run began, or with `sources` the file that it was made of. A file
// that is gone is no change: its copy stands for it. BLOCKS: disk.
void check_kept_inputs(const std::filesystem::path& folder, bool sources);

}  // namespace bakeoff
