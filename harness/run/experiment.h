// A whole run: plan, files, verification, sweep, fresh trials of the winners, result.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "harness/ground/programs.h"
#include "harness/run/run_folder.h"
#include "harness/plan/specification.h"
#include "results/model.h"

namespace bakeoff {

// How the best cells are looked for: in the whole matrix, by tuning (tuner.h), or as the highest rate that each cell of the
// matrix sustains (peak_search.h), which makes cells of its own.
enum class Search { full, tuned, peak };
const char* command_of(Search search);  // "run", "tune", "peak"

// Runs what is not measured yet and returns the result, which is in the folder, too. On Interrupted and StartError what
// was measured stays in the folder, with a result of it. BLOCKS: for the whole run.
ExperimentResult run_experiment(Programs& programs, const Specification& spec, RunFolder& folder, Search search = Search::full);

// Every server of the specification, every file; nothing is measured. StartError for the first that is wrong.
void verify_experiment(Programs& programs, const Specification& spec);

// The result of the trials there are, which are lean (run_folder.h).
ExperimentResult make_result(const Specification& spec, const std::vector<Cell>& cells, const std::vector<Trial>& trials, const nlohmann::json& environment);

// How long a trial takes with all that belongs to it, and the whole run at least.
double expected_trial_s(const Specification& spec);
std::size_t expected_trials(const Specification& spec, std::size_t cells);
double expected_run_s(const Specification& spec, std::size_t cells);

// Of a search for peaks: what each cell sustained at most, and what twice that rate left of it. Empty for other results.
std::string peak_table(const ExperimentResult& result);

// "[label] 812 Mbit/s" and the like, for progress.
std::string outcome_words(const Trial& trial);

}  // namespace bakeoff
