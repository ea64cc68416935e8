// What a preset or an architecture is, for people.
#pragma once

#include <string>

#include "harness/ground/programs.h"
#include "harness/processes/reactor.h"

namespace bakeoff {

// A few lines: what it is, who waits in it, the paper, what a preset sets and what is left, the command line it
// becomes. UsageError for an unknown name. BLOCKS: a few milliseconds, for the binary to describe itself.
std::string explanation(Reactor& reactor, const std::string& name);

// UsageError for what is no architecture: with what else is called so, or what is nearly called so.
void check_is_server(const Programs& programs, const std::string& name);

}  // namespace bakeoff
