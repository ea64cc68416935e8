// The highest rate that a server sustains, from answers that may be wrong. Each trial answers "was this rate
// sustained?"; a disturbance may change the answer, and near the peak it is a matter of chance. The search is
// probabilistic bisection (Horstein 1963; Waeber, Frazier and Henderson 2013): it keeps a probability for every place
// where the peak may be, asks near the median, and weighs each answer by Bayes' rule. No answer excludes a place for
// good, so the search recovers from every wrong one. It also learns how often answers are wrong, and how gradually the
// server gives way; therefore it asks by turns at the median, below and above. It does not measure itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/plan/specification.h"

namespace bakeoff {

// The rate that is sustained in half of the trials, and the interval that holds it with 95 % probability.
struct PeakEstimate {
  std::optional<double> rate;   // empty: the least rate is not sustained
  std::optional<double> lower;  // empty: it may be that the least rate is not sustained
  std::optional<double> upper;  // empty: it may be that the most is
  std::uint32_t answers = 0;    // that it rests on
  bool within_tolerance = false;
};

class PeakSearch {
 public:
  explicit PeakSearch(PeakLimits limits);

  // The rate to ask about next; empty when the search is over. At most four times a rate that was sustained: a server
  // that is asked for a hundred times what it can do tells no more. The same answers lead to the same rates.
  std::optional<double> next() const;
  // The answer for that rate; empty: unknown, which counts as asked.
  void judge(double rate, std::optional<bool> sustained);

  PeakEstimate estimate() const;
  // "1000 yes, 4230 yes, 18000 no, 8700 no ..."
  const std::string& path() const { return path_; }

 private:
  // The place below which that share of the probability lies.
  std::size_t quantile(double share) const;
  std::optional<double> rate_at(std::size_t place) const;

  PeakLimits limits_;
  std::vector<double> places_;  // of the peak, as logarithms; the first and last stand for beyond the ends
  std::vector<std::vector<double>> probability_;  // by hypothesis about the answers, then by place
  std::vector<double> of_place_;                  // summed over the hypotheses
  double highest_sustained_ = 0;
  std::uint32_t asked_ = 0, answers_ = 0;
  std::string path_;
};

// Three significant digits: rates that people can read, and cell ids that stay the same.
double round_rate(double rate);

}  // namespace bakeoff
