#include "harness/commands/commands.h"

#include <cstdio>
#include <iostream>

#include "harness/commands/specification_argument.h"
#include "harness/ground/programs.h"
#include "harness/run/experiment.h"
#include "harness/run/feasibility.h"
#include "harness/run/progress.h"

namespace bakeoff {

int plan_command(Reactor& reactor, const Arguments& arguments) {
  const auto spec = only_specification("plan", arguments);
  if (!spec) return exit_status::fine;
  Programs programs(reactor);
  const std::vector<Cell> cells = feasible_cells(programs, *spec);
  say_if_long(*spec, cells);
  for (const Cell& cell : cells) std::cout << cell.id << "\n";
  const std::size_t trials = Campaign(*spec, cells, {}, Search::full).steps();
  std::fprintf(stderr, "%zu %s, %u %s each, then %u of each server's best: %zu %s of %.1f s, about %s\n", cells.size(),
               cells.size() == 1 ? "cell" : "cells", spec->sweep_trials, spec->sweep_trials == 1 ? "trial" : "trials",
               spec->final_trials, trials, trials == 1 ? "trial" : "trials", expected_trial_s(*spec),
               duration_words(expected_run_s(*spec, cells)).c_str());
  return exit_status::fine;
}

}  // namespace bakeoff
