// What bakeoff says of itself to other programs, from the tables by which it reads its command line.
#pragma once

#include <string>

#include "harness/processes/reactor.h"

namespace bakeoff {

// For bash; to be sourced, or installed as bash-completion/completions/bakeoff.
std::string bash_completion(Reactor& reactor);
// Section 1 of the manual, in troff's man macros.
std::string manual_page(Reactor& reactor);

}  // namespace bakeoff
