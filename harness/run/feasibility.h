// Whether what a specification asks for can be run, found out before anything is measured: by the very programs that
// would run.
#pragma once

#include <vector>

#include "harness/ground/programs.h"
#include "harness/plan/specification.h"
#include "harness/run/campaign.h"
#include "results/model.h"

namespace bakeoff {

// The cells of a specification. UsageError, with the place in the specification if known, for an option that a
// server's binary rejects, for a load that the client rejects, for more connections than a server can hold (clients
// would starve), and for what workloads, plan, descriptors and processors do not allow. Prints on standard error what
// the client says about the workload: skipped lines of a log, a log that is longer than the trials. BLOCKS: a few
// milliseconds per configuration of a server, and reading a log. `search`: what the cells are for; a peak needs rates.
std::vector<Cell> feasible_cells(Programs& programs, const Specification& spec, Search search = Search::full);

}  // namespace bakeoff
