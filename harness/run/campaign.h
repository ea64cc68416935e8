// All trials of an experiment, in their order: blocks, repeats of void trials, fresh trials of the winners, or a search
// in place of the whole matrix. It takes trials from wherever they come (trial_source.h) and hands each on as it ends.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/plan/specification.h"
#include "harness/run/live_table.h"
#include "harness/run/peak_search.h"
#include "harness/run/progress.h"
#include "harness/run/trial_source.h"
#include "harness/run/turns.h"
#include "results/model.h"
#include "results/summary.h"

namespace bakeoff {

// How the best cells are looked for: in the whole matrix, by tuning (tuner.h), or as the highest rate that each cell of
// the matrix sustains (peak_search.h), which makes cells of its own.
enum class Search { full, tuned, peak };
const char* command_of(Search search);  // "run", "tune", "peak"

// A cell of the matrix under requests by a schedule: "sped/connections=64/workers=1/rate=4000".
Cell at_rate(Cell cell, double rate);

class Campaign {
 public:
  // Trials in `there` are taken as they are: a resumed campaign takes the same path again up to where it was, repeats
  // that were pending included. UsageError when one of them belongs to no cell.
  Campaign(const Specification& spec, std::vector<Cell> cells, std::vector<Trial> there, Search search);

  // The cells of the matrix; a search for peaks adds its own to cells().
  const std::vector<Cell>& planned() const { return planned_; }
  const std::vector<Cell>& cells() const { return cells_; }
  const std::vector<Trial>& trials() const { return trials_; }
  std::vector<TrialKey> sweep() const;

  // `keep` is called with every trial as it ends, and `note` with the path of a search whenever it grew.
  void run(TrialSource& source, const std::vector<WarmUp>& warm_ups, Progress& progress,
           const std::function<void(Trial)>& keep, const std::function<void(const std::string&)>& note);

  // What a search for peaks knows so far, one a cell of the matrix; empty before it began, and for other searches.
  std::vector<Peak> peaks() const;

  // Steps that run() will take, about, and how many of them are there.
  std::size_t steps() const;
  std::size_t steps_done() const;

 private:
  struct Context {
    TrialSource& source;
    const std::vector<WarmUp>& warm_ups;
    Progress& progress;
    LiveTable& live;
    const std::function<void(Trial)>& keep;
    const std::function<void(const std::string&)>& note;
  };
  void run_all(Context& context, const std::vector<TrialKey>& keys);
  std::vector<Trial> run_together(Context& context, const std::vector<TrialToRun>& trials, bool in_turns);
  void keep(Context& context, Trial trial, bool again);
  void tune(Context& context);
  void seek_peaks(Context& context);
  void measure_again(Context& context);
  std::optional<bool> answer_of(const Cell& cell, std::uint32_t block) const;
  void add_cell(const Cell& cell);
  bool add_searched(const std::string& id);
  std::vector<Trial> sweep_trials() const;
  std::vector<CellResult> sweep_results() const;

  const Specification& spec_;
  Search search_;
  std::vector<Cell> planned_;
  std::vector<Cell> cells_;
  std::map<std::string, Cell> by_id_;
  std::vector<Trial> trials_;
  std::vector<PeakSearch> searches_;  // of planned_
  std::size_t repeats_ = 0;
};

// The rules by which an experiment's cells are judged.
CellRules rules_of(const Specification& spec);

// The result of the trials there are, which are lean (run_folder.h).
ExperimentResult make_result(const Specification& spec, const std::vector<Cell>& cells,
                             const std::vector<Trial>& trials, const std::vector<WarmUp>& warm_ups,
                             const nlohmann::json& environment);

// "812 Mbit/s" and the like, for progress.
std::string outcome_words(const Trial& trial, const ValidityLimits& limits);

}  // namespace bakeoff
