// Trials in turns. All servers of a block run side by side, and each has a turn of some milliseconds before any has the
// next one. So a neighbour who slows the machine for a second slows all of them alike, and the ratio of two servers
// scatters far less than when one trial follows another (results/README.md says by how much).
#pragma once

#include <cstdint>
#include <vector>

#include "harness/plan/specification.h"
#include "harness/run/trial_source.h"

namespace bakeoff {

// So many at once: more servers side by side would drive each other out of the caches.
constexpr std::size_t most_in_turns = 24;

inline bool takes_turns(const Specification& spec) { return spec.turn_s > 0; }
// What the ceiling adds to a trial's time: nothing in turns, where one reading is for the whole block.
inline double ceiling_time_s(const Specification& spec) { return takes_turns(spec) ? 0 : spec.ceiling_s; }
// The parts that the measured time is cut into. REQUIRES: takes_turns(spec).
std::uint32_t turns_of(const Specification& spec);

struct TrialToRun {
  TrialSource* source;
  Cell cell;
  TrialKey key;
  std::uint32_t attempt;
  double warmup_s;
};

// One trial each, in their order; the order of turns is drawn anew for each round. with_ceiling: the ceiling program
// takes turns with them, where it is read, one for each size of replies. BLOCKS: all their times.
std::vector<Trial> run_in_turns(const Specification& spec, const std::vector<TrialToRun>& trials, bool with_ceiling);

}  // namespace bakeoff
