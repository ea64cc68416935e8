// Whether a candidate is worse than a baseline, judged by pairs of trials. Both trials of a pair run one after the
// other, in random order, so that drift cancels in their ratio.
//
// The gate looks several times while pairs come in, and stops when it knows. Every look spends a part of alpha. The
// parts add up to at most alpha, so looking often does not raise the error, whatever the dependence between looks (a
// group-sequential test with alpha spending; Lan, DeMets 1983, with Bonferroni's bound). Each look uses Wilcoxon's
// exact signed-rank test.
//   regressed: shown to be worse, corrected for the number of cells and figures (a false alarm in at most 5 % of
//              comparisons);
//   fine:      every figure of every cell is shown to be less than its margin worse. All must be shown, so no
//              correction is needed: where one is truly worse by its margin, that is missed in at most 5 % of
//              comparisons;
//   undecided: neither.
// Failures (a server that dies, time-outs, wrong bytes) are counted by pairs, too: a candidate that fails in pairs in
// which the baseline does not is regressed. No candidate is fine before trials_without_failure of its trials: by then a
// server that dies in one trial of ten has failed with a probability of 95 %.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "results/model.h"

namespace bakeoff {

constexpr std::uint32_t trials_without_failure = 30;

enum class Verdict { fine, regressed, undecided };
const char* to_string(Verdict verdict);

// Whether a figure can be guarded: more or less of it is better, and it scatters by factors. A count or a share that
// may be 0 has no ratio; failures are judged in place of these.
bool can_be_guarded(const MetricName& metric);

struct Guard {
  MetricName metric;     // one that can be guarded
  double margin = 0.05;  // a loss by this share and more matters; above 0, below 1
};

// One figure of one cell.
struct Judgement {
  std::string cell;
  Guard guard;
  std::uint32_t pairs = 0;
  std::uint32_t missing = 0;  // further pairs without a failure, in which one of the two has no such figure
  // Candidate over baseline, of the figure as it is measured; limits that hold whenever one looks. Empty: not
  // known yet.
  std::optional<double> ratio, lower, upper;
  Verdict verdict = Verdict::undecided;
};

// How often a server failed, and why first.
struct FailureCount {
  std::uint32_t trials = 0;
  std::uint32_t failed = 0;  // trials that would not be valid by themselves, by the server's doing
  bool died = false;         // or did not start, in one of them
  std::optional<LoadCounts> sum;
  std::string first_cause;
};

class Gate {
 public:
  // Every cell with every guard is a hypothesis; neither list may be empty. `alpha`: of wrong alarms, and of
  // wrong "fine".
  Gate(std::vector<std::string> cells, std::vector<Guard> guards, ValidityLimits limits, double alpha = 0.05);

  // A pair of trials of that cell, neither of them void.
  void add(const std::string& cell, const Trial& baseline, const Trial& candidate);
  // Judges what is there: `share` of the comparison's whole time has passed, 1 at the last look.
  void look(double share);

  Verdict verdict() const;
  // A sentence that names the cell and the figure that decide.
  std::string why() const;
  // Cells with a figure that is still undecided: the others need no more trials. All cells while too few trials without
  // a failure are all that is missing.
  std::set<std::string> open_cells() const;
  const std::vector<Judgement>& judgements() const { return judgements_; }
  const std::map<std::string, FailureCount>& baseline_failures() const { return baseline_; }
  const std::map<std::string, FailureCount>& candidate_failures() const { return candidate_; }
  // A sentence when the baseline itself fails so often that nothing can be compared with it; empty otherwise.
  std::string baseline_failure() const;
  // How many times as many pairs an undecided comparison needs, if things go on as they are; empty: that cannot
  // be said.
  std::optional<double> times_as_many() const;

 private:
  struct Hypothesis {
    std::vector<double> log_ratios;  // above 0: the candidate is better
    double spent_fine = 0, spent_worse = 0;
    std::optional<double> estimate, lower, upper;  // logarithms
  };
  void judge(std::size_t i, double share);
  std::string failure_of(const Trial& trial) const;
  // Why that server is not valid in the cells that were measured, all its trials together; empty: it is.
  std::string spoiled(const std::map<std::string, FailureCount>& counters) const;

  ValidityLimits limits_;
  double alpha_;
  std::vector<Hypothesis> hypotheses_;  // cell by cell, guard by guard
  std::vector<Judgement> judgements_;   // in the same order
  std::map<std::string, FailureCount> baseline_, candidate_;
  std::vector<double> failures_;  // of pairs in which one side alone failed: -1 the candidate, 1 the baseline
  double spent_failures_ = 0;
  bool fails_more_ = false;
};

// What a look may spend: what is due by then less what was spent before; 0 where so few pairs could not reach it
// anyway, which saves it for later looks.
double to_spend(double alpha, double share, double spent, std::size_t pairs);

}  // namespace bakeoff
