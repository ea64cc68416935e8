// Where trials come from: real servers (trial_runner.h), or simulated ones of known truth (tests/referee). The code
// that plans, repeats, summarises, ranks, tunes and compares does not know which.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "results/model.h"

namespace bakeoff {

// What the ceiling program did. Empty: it could not be read.
struct CeilingReading {
  std::optional<double> replies_per_s;
  std::optional<double> cpu_us_per_reply;
};

// A program under load that takes turns with others (turns.h): one that has had its turn rests until the next one.
class TurnTaker {
 public:
  virtual ~TurnTaker() = default;
  // The first is the warm-up; the measured time is in equal parts in the others. BLOCKS: a turn.
  virtual void turn() = 0;
};

class TrialInTurns : public TurnTaker {
 public:
  // After the last turn; the trial's server ends. ceiling: that took turns with it; nullptr: none did.
  // BLOCKS: the server's end.
  virtual Trial finish(const CeilingReading* ceiling) = 0;
};

class CeilingInTurns : public TurnTaker {
 public:
  virtual CeilingReading finish() = 0;
};

class TrialSource {
 public:
  virtual ~TrialSource() = default;
  // One trial with a fresh server. Never throws for what a server or a client does: that is the trial's outcome.
  // BLOCKS: the trial's time.
  virtual Trial run(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s) = 0;
  // The same trial in turns: its server is started, and its connections are opened; nothing is asked for yet.
  // BLOCKS: until they are open.
  virtual std::unique_ptr<TrialInTurns> begin(const Cell& cell, const TrialKey& key, std::uint32_t attempt,
                                              double warmup_s) = 0;
  // The ceiling program for replies of the cell's mean size; nullptr where no ceiling is read. BLOCKS: as begin().
  virtual std::unique_ptr<CeilingInTurns> begin_ceiling(const Cell& cell, double warmup_s) = 0;
  virtual double ceiling_bytes(const Cell& cell) const = 0;  // of its reply: the mean size
  // What the server sent, in bytes, in each of pilot_spans equal parts of `length_s` seconds from its first request on.
  // Empty when that was not available. `number`: 0, 1 ... of several pilots of the cell. BLOCKS: that time.
  virtual std::vector<double> pilot(const Cell& cell, std::uint32_t number, double length_s) = 0;
  // Of a clock that only goes forward.
  virtual double now_s() const = 0;
};

constexpr std::size_t pilot_spans = 20;

}  // namespace bakeoff
