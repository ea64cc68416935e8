// One run of the load generator, which announces when its measured time begins and ends, so that samples of both sides
// fall into it however late the machine let the client begin.
#pragma once

#include <optional>
#include <string>

#include "harness/ground/programs.h"
#include "harness/plan/specification.h"
#include "harness/processes/child.h"
#include "results/model.h"

namespace bakeoff {

// In which a client keeps its connections after the measured time, so that the last reading of the server is not too
// late.
constexpr const char* longest_hold = "2s";

struct LoadTimes {
  double warmup_s;
  double duration_s;
  std::uint32_t turns = 0;  // that the duration is cut into, after one for the warm-up; 0: it is not cut
};

// The load generator's command line for a cell: it announces its measured time and writes JSON to its standard output.
Command load_command(const Programs& programs, const Specification& spec, const Cell& cell, std::uint16_t port,
                     std::uint64_t seed, LoadTimes times);

// Of several lines, such as a program's standard error, the last.
std::string last_line(std::string text);

class LoadRun {
 public:
  // `command` has --announce. elsewhere: it runs on other hosts, whose clocks have nothing to do with this one's.
  // StartError when it cannot be started.
  LoadRun(Reactor& reactor, const Command& command, bool elsewhere = false)
      : reactor_(reactor), child_(reactor, command), elsewhere_(elsewhere) {}

  // When the measured time begins; empty when the client ended before it could tell. BLOCKS: until all connections
  // are open.
  std::optional<SteadyTime> measured_from();
  // In turns (the command has --turns): whether all connections are open. BLOCKS: until they are.
  bool open();
  // Lets it take its next turn; false when it ended instead, or did not rest in time. BLOCKS: the turn, at most so
  // long.
  bool turn(double most_s);

  // A share of the measured time, 0 to 1. REQUIRES: measured_from() was not empty.
  SteadyTime at(double share) const;
  // How much of the time between two samples lies before the end of the measured time; at least a microsecond.
  double measured_between_s(SteadyTime from, SteadyTime to) const;

  // It ends at once and tells what it has measured so far. BLOCKS: until it has ended.
  void end_early();
  // Tells a client that was started with --hold that it may close its connections.
  void release();

  Child& child() { return child_; }
  bool has_ended() { return child_.has_ended(); }
  bool wait_for_end(SteadyTime deadline) { return child_.wait_for_end(deadline); }

 private:
  bool rests(std::uint32_t turns, SteadyTime deadline);

  Reactor& reactor_;
  Child child_;
  std::uint32_t turns_ = 0;
  bool elsewhere_;
  SteadyTime from_{}, to_{};
};

}  // namespace bakeoff
