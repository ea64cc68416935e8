// The command line of the load generator, from its options to its exit status: for bakeoff-load, which is one process
// and its workers, and for bakeoff-load-ranks, which is one of several.
#pragma once

namespace bakeoff {

class Ranks;

// ranks: nullptr for one process. Rank 0 alone prints and writes. Returns the exit status.
// RankLost when one did not come to a meeting. BLOCKS: for the whole run.
int load_main(int argc, char** argv, Ranks* ranks);

}  // namespace bakeoff
