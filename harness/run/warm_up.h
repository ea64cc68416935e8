// The warm-up of a contest's servers: equal for all, as long as the slowest takes to settle. A pilot finds it before
// anything is measured, so that no trial's own figures decide how it is measured.
#pragma once

#include <string>
#include <vector>

#include "harness/plan/specification.h"
#include "harness/run/progress.h"
#include "harness/run/trial_source.h"

namespace bakeoff {

// The times that the pilot chooses from: between spec.warmup_s and spec.longest_warmup_s. Where both are the same there
// is no pilot.
bool needs_pilot(const Specification& spec);
// The cells that a pilot runs: of each server in each contest the one with most connections and workers.
std::vector<Cell> pilot_cells(const std::vector<Cell>& cells);

// One line per contest. Each pilot cell is loaded pilot_repeats times from its first request on, for twice the longest
// warm-up; its throughput, averaged over the repeats, shows when it settled (Welch's averages, cut by MSER: White
// 1997). BLOCKS: pilot_repeats * (2 * longest warm-up and a server's start) per cell.
constexpr std::uint32_t pilot_repeats = 3;
std::vector<WarmUp> find_warm_ups(const Specification& spec, const std::vector<Cell>& cells,
                                  const std::vector<TrialSource*>& sources, Progress& progress);

// Of the cell's contest; spec.warmup_s where no pilot was run.
double warm_up_of(const Cell& cell, const std::vector<WarmUp>& warm_ups, const Specification& spec);

// When a series of pilots settled: the share of their length, 0 to 0.5, and whether it did at all. `series`: what was
// sent in equal spans, one line a pilot.
struct Settling {
  double share = 0;
  bool settled = true;
};
Settling settling_of(const std::vector<std::vector<double>>& series, double drift);

}  // namespace bakeoff
