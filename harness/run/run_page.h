// A run's folder as a page, or as what a page is made of.
#pragma once

#include <filesystem>

#include "results/page/page.h"

namespace bakeoff {

// From result.json, spec.toml, plan.json and trials.jsonl, of which only the first must be there. UsageError as
// read_result() throws it. BLOCKS: disk.
PageRun read_page_run(const std::filesystem::path& folder_or_file);

// Writes page.html into the run's folder. StartError when it cannot be written, UsageError without results.
// BLOCKS: disk.
void write_page(const std::filesystem::path& folder);

// The folder in `runs` whose result is the newest. UsageError when there is none.
std::filesystem::path newest_run(const std::filesystem::path& runs);

}  // namespace bakeoff
