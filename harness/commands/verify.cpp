#include "harness/commands/commands.h"

#include "harness/commands/specification_argument.h"
#include "harness/ground/programs.h"
#include "harness/run/experiment.h"
#include "harness/run/feasibility.h"

namespace bakeoff {

int verify_command(Reactor& reactor, const Arguments& arguments) {
  const auto spec = only_specification("verify", arguments);
  if (!spec) return exit_status::fine;
  Programs programs(reactor);
  feasible_cells(programs, *spec);
  verify_experiment(programs, *spec);
  return exit_status::fine;
}

}  // namespace bakeoff
