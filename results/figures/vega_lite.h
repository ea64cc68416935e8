// Charts as Vega-Lite specifications, with their data.
#pragma once

#include <nlohmann/json.hpp>

#include "results/figures/chart.h"

namespace bakeoff {

// A whole specification: several panels are its facets. Each row of data.values is a point: panel, row (of dots),
// series, place, value, lower, upper, range, valid, published, joined, marked, trials, cell, reason, and of_ceiling
// with its limits.
nlohmann::ordered_json to_vega_lite(const Chart& chart);

}  // namespace bakeoff
