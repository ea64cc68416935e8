// Two results that were measured at different times. Weaker than pairs (comparison.h): whatever changed between the two runs,
// the machine's speed, say, is taken for a difference between the servers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/comparison.h"
#include "results/model.h"

namespace bakeoff {

constexpr std::uint32_t least_trials =
    4;  // of a cell on each side; 3 against 3 could never do better than one in twenty

// What differs that a comparison must not mix with what is compared: the machine, its settings, the client, the workload.
// One clause each, "kernel: Linux 6.1 here, Linux 6.12 there". Servers' own binaries and the git revision may differ.
std::vector<std::string> environment_differences(const ExperimentResult& baseline, const ExperimentResult& candidate);

struct StoredComparison {
  Comparison all;  // `pairs` counts cells
  std::map<std::string, Comparison> cells;
};

// The valid cells that both have, each with at least least_trials that count on either side. The test permutes the trials of
// each cell (20,000 random permutations); the interval is the bootstrap's; verdicts as compare_pairs() gives them.
StoredComparison compare_stored(const ExperimentResult& baseline, const ExperimentResult& candidate,
                                const MetricName& by, double threshold);

}  // namespace bakeoff
