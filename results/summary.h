// From trials to cells: which trials count, whether a cell is valid, and what its trials say together.
#pragma once

#include <utility>
#include <vector>

#include "results/model.h"

namespace bakeoff {

struct CellRules {
  ValidityLimits validity;
  std::vector<std::pair<Metric, double>> slo;  // latency over all replies that a cell may have at most, in ms
  double drift = 0.1;  // of throughput within the measured time, above which a cell counts as unsettled
};

// Of several attempts at one trial the last counts, unless it is void. If there are fresh trials, only they count.
// Every rule applies to all trials that count, together: no trial is left out for its figures. A cell without a trial
// that counts shows the figures of its void ones, and is not valid. The trials' evidence is lean (run_folder.h).
CellResult summarise(const Cell& cell, const std::vector<Trial>& trials, const CellRules& rules);

// The attempt of each trial that is its outcome: the last one, when it is not void.
std::vector<const Trial*> outcomes(const std::vector<Trial>& trials);

}  // namespace bakeoff
