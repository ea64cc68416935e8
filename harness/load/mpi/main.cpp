// bakeoff-load-ranks: bakeoff-load as one of several processes under mpirun or srun. bakeoff-load --ranks becomes it.
#include <sys/prctl.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "harness/load/command_line.h"
#include "harness/load/mpi/mpi_ranks.h"

namespace {

// RANK:AHEAD:LATER in ns: how far the rank's clock is ahead while the load begins, and afterwards.
void pretend_clock(bakeoff::MpiRanks& ranks, const char* text) {
  std::istringstream in(text);
  std::uint32_t rank = 0;
  std::int64_t ahead_ns = 0, later_ns = 0;
  char colon = 0;
  in >> rank >> colon >> ahead_ns >> colon >> later_ns;
  if (in && rank == ranks.number()) ranks.pretend_clock(ahead_ns, later_ns);
}

}  // namespace

int main(int argc, char** argv) {
  // With the daemon that started it goes a rank, and with a rank its workers.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  bakeoff::MpiRanks ranks(argc, argv);
  try {
    ranks.meet();
    if (const char* clock = std::getenv("BAKEOFF_TEST_CLOCK")) pretend_clock(ranks, clock);
    return bakeoff::load_main(argc, argv, &ranks);
  } catch (const bakeoff::RankLost& error) {
    std::cerr << "bakeoff-load: " << error.what() << "\n";
    ranks.abandon(4);
  }
}
