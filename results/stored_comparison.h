// Two results that were measured at different times. Weaker than pairs (comparison.h): whatever changed between the two
// runs, the machine's speed, say, is taken for a difference between the servers.
#pragma once

#include <string>
#include <vector>

#include "results/comparison.h"
#include "results/model.h"

namespace bakeoff {

// The differences that forbid a comparison: the machine, its settings, the client, the workload. One clause each,
// "kernel: Linux 6.1 here, Linux 6.12 there". Servers' own binaries and the git revision may differ.
std::vector<std::string> environment_differences(const ExperimentResult& baseline, const ExperimentResult& candidate);

struct StoredComparison {
  std::vector<Judgement> judgements;  // `pairs` counts the candidate's trials
  std::vector<std::string> failures;  // "CELL: why", cells that are valid in the baseline alone
  std::vector<std::string> left_out;  // "CELL: why", cells that cannot be compared
  Verdict verdict = Verdict::undecided;
  std::string why;
  bool comparable = false;  // at least one cell could be compared, or failed in the candidate alone
};

// Compares the cells that both have. A cell's shift is Hodges and Lehmann's for two samples; its limits invert
// Wilcoxon's exact rank-sum test. Regressed is corrected for the number of cells and guards; fine needs all of them
// (comparison.h). A cell that is valid in the baseline and not in the candidate is a regression.
StoredComparison compare_stored(const ExperimentResult& baseline, const ExperimentResult& candidate,
                                const std::vector<Guard>& guards, double alpha = 0.05);

}  // namespace bakeoff
