// Where trials come from: real servers (trial_runner.h), or simulated ones of known truth (tests/referee). The code
// that plans, repeats, summarises, ranks, tunes and compares does not know which.
#pragma once

#include <cstdint>
#include <vector>

#include "results/model.h"

namespace bakeoff {

class TrialSource {
 public:
  virtual ~TrialSource() = default;
  // One trial with a fresh server. Never throws for what a server or a client does: that is the trial's outcome.
  // BLOCKS: the trial's time.
  virtual Trial run(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s) = 0;
  // What the server sent, in bytes, in each of pilot_spans equal parts of `length_s` seconds from its first request on.
  // Empty when that was not available. `number`: 0, 1 ... of several pilots of the cell. BLOCKS: that time.
  virtual std::vector<double> pilot(const Cell& cell, std::uint32_t number, double length_s) = 0;
  // Of a clock that only goes forward.
  virtual double now_s() const = 0;
};

constexpr std::size_t pilot_spans = 20;

}  // namespace bakeoff
