// Figures of papers that an experiment redoes: on the same axes, with what the paper published drawn behind.
// papers.json says which.
#pragma once

#include <vector>

#include "results/figures/charts.h"

namespace bakeoff {

// Of the experiment that the run is of, by its name; empty when no paper's figure belongs to it, or nothing of it was
// measured. UsageError when papers.json is damaged. BLOCKS: disk.
std::vector<Chart> paper_charts(const ChartRun& run);

}  // namespace bakeoff
