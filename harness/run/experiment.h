// A whole run: plan, files, verification, the pilot that finds the warm-up, sweep, fresh trials of the winners, result.
#pragma once

#include <string>
#include <vector>

#include "harness/ground/programs.h"
#include "harness/plan/specification.h"
#include "harness/run/campaign.h"
#include "harness/run/run_folder.h"
#include "results/model.h"

namespace bakeoff {

// Runs what is not measured yet and returns the result, which is in the folder, too. On Interrupted and StartError what
// was measured stays in the folder, with a result of it. BLOCKS: for the whole run.
ExperimentResult run_experiment(Programs& programs, const Specification& spec, RunFolder& folder,
                                Search search = Search::full, Talk talk = Talk::normal);

// Every server of the specification, every file; nothing is measured. StartError for the first that is wrong.
void verify_experiment(Programs& programs, const Specification& spec);

// How long a trial takes with all that belongs to it, and the whole run of these cells at least.
double expected_trial_s(const Specification& spec);
double expected_run_s(const Specification& spec, const std::vector<Cell>& cells);

}  // namespace bakeoff
