// Two builds of the same servers, compared pair by pair until the gate (results/comparison.h) knows, or the budget
// is spent.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/plan/specification.h"
#include "harness/run/progress.h"
#include "harness/run/trial_source.h"
#include "results/comparison.h"
#include "workloads/workload.h"

namespace bakeoff {

// The pairs after which the gate looks: from `first_look` on, each time half as many again, and at `most`.
constexpr std::uint32_t first_look = 8;
std::vector<std::uint32_t> looks(std::uint32_t most);

struct PairOutcome {
  Verdict verdict = Verdict::undecided;
  std::string why;
  std::string baseline_failure;  // the baseline fails by itself: nothing can be compared with it
  std::uint32_t blocks = 0;      // in each, every cell that is still open had a pair
  std::uint32_t void_trials = 0;
  std::uint32_t lost_pairs = 0;  // a trial of them stayed void
  double spent_s = 0;
  std::optional<double> needs_s;  // an undecided one: about how much longer
  std::vector<Judgement> judgements;
  nlohmann::json looks = nlohmann::json::array();   // what the gate knew at each
  nlohmann::json trials = nlohmann::json::array();  // every trial, in the order in which they were run
};

class PairComparison {
 public:
  // All of it must outlive the comparison.
  PairComparison(const Specification& spec, std::vector<Cell> cells, TrialSource& baseline, TrialSource& candidate,
                 std::vector<Guard> guards);

  // Ends as soon as every figure of every cell is fine, one is regressed, the baseline fails, or `budget_s` is spent.
  // BLOCKS: at most about the budget, and one block.
  PairOutcome run(double budget_s, const std::vector<WarmUp>& warm_ups, Progress& progress);

 private:
  // One trial of each build, the candidate first where it is to be and they do not take turns; empty where one stayed
  // void.
  struct Pair {
    std::optional<Trial> baseline, candidate;
  };
  Pair measure(const Cell& cell, bool candidate_first, double warmup_s, Progress& progress, PairOutcome& outcome);
  std::optional<Trial> keep(Trial trial, const char* role, bool again, Progress& progress, PairOutcome& outcome) const;
  void note_look(const Gate& gate, PairOutcome& outcome) const;

  const Specification& spec_;
  std::vector<Cell> cells_;
  TrialSource& baseline_;
  TrialSource& candidate_;
  std::vector<Guard> guards_;
};

nlohmann::json to_json(const Judgement& judgement);

}  // namespace bakeoff
