// Several processes that make one load together, on one host or on many: rank 0 leads. What they need of each other is
// here, without the library that carries it (harness/load/mpi), so that the ordinary client neither links nor needs it.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/load/clock_offset.h"

namespace bakeoff {

// One of the ranks did not come to a meeting: its host and the time waited. There is nobody left to agree with on how
// to end; the process that sees it ends all.
struct RankLost : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// gather(), spread() and compare_clocks() are meetings: all ranks call them, in the same order, or RankLost is thrown.
class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual std::uint32_t number() const = 0;  // from 0
  virtual std::uint32_t count() const = 0;
  virtual const std::string& host(std::uint32_t rank) const = 0;

  // Rank 0 gets what each of them gives, by rank; the others get nothing. BLOCKS: network.
  virtual std::vector<std::string> gather(const std::string& own) = 0;
  // All get what rank 0 gives. BLOCKS: network.
  virtual std::string spread(const std::string& of_rank_0) = 0;
  // How far each clock is ahead of rank 0's, by rank; the others than rank 0 get nothing. BLOCKS: network.
  virtual std::vector<ClockOffset> compare_clocks() = 0;
  // CLOCK_MONOTONIC of this host. A test may have it run ahead.
  virtual std::int64_t now_ns() const = 0;
};

// Whether this process speaks for the run: rank 0, or the only one.
bool is_leader(const Ranks* ranks);
// Takes a step that may fail, on every rank. When it fails on one, all throw its error: UsageError as such, everything
// else as StartError. An error of another rank than 0 begins with its host. BLOCKS: network.
void together(Ranks* ranks, const std::function<void()>& step);

}  // namespace bakeoff
