// A process that outlives the harness just long enough: when the harness ends in whatever way (kill -9, out of memory), it
// kills the process groups that the harness had started and not yet taken down.
#pragma once

#include <sys/types.h>

namespace bakeoff {

// Starts the guard. Call it once, first thing, while there is one thread. Orphans of children become the harness's own
// children, so that none is lost sight of. StartError when it cannot be had.
void start_guard();

// Without start_guard() they do nothing, so that tests may run children of their own.
void guard_group(pid_t group);
void release_group(pid_t group);

}  // namespace bakeoff
