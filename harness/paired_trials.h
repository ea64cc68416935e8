// Trials of two builds of the same servers, in blocks: within a block what drifts meets both alike.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/run/progress.h"
#include "harness/run/trial_runner.h"
#include "results/comparison.h"
#include "core/base/random.h"

namespace bakeoff {

class PairedTrials {
 public:
  // A cell's trials of one block: baseline, candidate, candidate, baseline, or the other way round.
  static constexpr std::size_t trials_per_cell = 4;

  // `by`: the figure that is compared; where less of it is better its reciprocal is.
  PairedTrials(std::vector<Cell> cells, TrialRunner& baseline, TrialRunner& candidate, const MetricName& by,
               std::uint64_t seed);

  struct Ratios {
    std::vector<double> candidate;  // over the baseline, one a block: the geometric mean over its trials and over cells
    std::vector<double> self;       // of each build over itself, two a block: what equal builds differ by
    std::map<std::string, std::vector<double>> by_cell;
    std::map<std::string, std::uint32_t> left_out;    // trials that did not count, by their reason
    std::uint32_t unsteady = 0;                       // trials in it whose throughput was still changing
    nlohmann::json trials = nlohmann::json::array();  // every figure, in the order in which it was measured
  };

  // As many blocks, those in which a trial does not count measured again, up to half as many. One in which the machine
  // changed its speed counts: it does so in most where others share it, and to leave those out leaves out what is typical.
  // BLOCKS: for all the trials' time.
  Ratios run(std::uint32_t blocks, Progress& progress);

 private:
  struct Block {
    bool counts = true;
    // Sums over cells of the logarithms of ratios.
    double candidate = 0, baseline_self = 0, candidate_self = 0;
    std::map<std::string, double> by_cell;
  };
  void measure(const Cell& cell, Block& block, Progress& progress, Ratios& ratios);
  void add(const Block& block, Ratios& ratios) const;

  std::vector<Cell> cells_;
  std::array<TrialRunner*, 2> runners_;
  MetricName by_;
  std::uint32_t next_block_ = 0;
  Random random_;
};

}  // namespace bakeoff
