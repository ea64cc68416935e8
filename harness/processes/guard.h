// A process that briefly outlives the harness. When the harness ends in any way (kill -9, out of memory), it kills the
// process groups that the harness had started and not yet ended, and the daemons that left these groups.
#pragma once

#include <sys/types.h>

#include <string>

namespace bakeoff {

// Starts the guard. Call it once, first thing, while there is one thread. Orphans of children become the harness's own
// children, so that none is lost sight of. StartError when it is not available.
void start_guard();

// Without start_guard() they do nothing, so that tests may run children of their own.
void guard_group(pid_t group);
void release_group(pid_t group);

// 0 without a guard.
pid_t guard_pid();
// "NAME=VALUE" for the environment of whatever the harness starts: by it the guard knows daemons. Empty without
// a guard.
const std::string& guard_mark();

}  // namespace bakeoff
