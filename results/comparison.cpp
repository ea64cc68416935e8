#include "results/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/check.h"

namespace bakeoff {
namespace {

// Of all wrong alarms that are allowed, the part that failures may cause.
constexpr double failures_share = 0.2;
// A baseline that fails in this share of its trials of a cell cannot be compared with.
constexpr double broken_baseline = 0.5;
constexpr std::uint32_t least_trials = 3;

std::optional<double> goodness(const Trial& trial, const MetricName& metric) {
  const auto& figure = trial.figures[metric.metric];
  if (!figure || *figure <= 0) return std::nullopt;
  return metric.better == Better::less ? -std::log(*figure) : std::log(*figure);
}

void count(FailureCount& counter, const Trial& trial, const std::string& failure) {
  ++counter.trials;
  counter.died = counter.died || !trial.failures.empty();
  if (trial.counts) counter.sum = counter.sum ? *counter.sum + *trial.counts : *trial.counts;
  if (failure.empty()) return;
  ++counter.failed;
  if (counter.first_cause.empty()) counter.first_cause = failure;
}

std::uint32_t trials_in_all(const std::map<std::string, FailureCount>& counters) {
  std::uint32_t all = 0;
  for (const auto& [cell, counter] : counters) all += counter.trials;
  return all;
}

std::string failure_words(const std::map<std::string, FailureCount>& counters) {
  const auto most = std::max_element(counters.begin(), counters.end(),
                                     [](const auto& a, const auto& b) { return a.second.failed < b.second.failed; });
  if (most == counters.end() || most->second.failed == 0) return "in no trial";
  return fmt::format("in {} of {} trials of {} ({})", most->second.failed, most->second.trials, most->first,
                     most->second.first_cause);
}

}  // namespace

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::fine: return "fine";
    case Verdict::regressed: return "regressed";
    case Verdict::undecided: return "undecided";
  }
  return "";
}

bool can_be_guarded(const MetricName& metric) {
  return metric.better != Better::neither && metric.scatter == Scatter::factors;
}

double to_spend(double alpha, double share, double spent, std::size_t pairs) {
  // Early looks get much of it, since most comparisons are clear early.
  const double due = alpha * std::sqrt(std::clamp(share, 0.0, 1.0)) - spent;
  return due >= std::pow(0.5, static_cast<double>(pairs)) ? due : 0;
}

Gate::Gate(std::vector<std::string> cells, std::vector<Guard> guards, ValidityLimits limits, double alpha)
    : limits_(limits), alpha_(alpha) {
  BAKEOFF_CHECK(!cells.empty() && !guards.empty());
  for (const std::string& cell : cells) {
    for (const Guard& guard : guards) {
      BAKEOFF_CHECK(guard.margin > 0 && guard.margin < 1 && can_be_guarded(guard.metric));
      judgements_.push_back({cell, guard, 0, 0, {}, {}, {}, Verdict::undecided});
    }
  }
  hypotheses_.resize(judgements_.size());
}

// Why a trial failed; empty: it did not.
std::string Gate::failure_of(const Trial& trial) const {
  if (!trial.failures.empty()) return trial.failures.front();
  if (!trial.counts) return {};
  for (const BrokenRule& rule : broken_rules(*trial.counts, limits_)) {
    if (rule.side == Side::server) return rule.text;
  }
  return {};
}

std::string Gate::spoiled(const std::map<std::string, FailureCount>& counters) const {
  for (const auto& [cell, counter] : counters) {
    if (counter.died) {
      return fmt::format("in {} of {} trials of {} ({})", counter.failed, counter.trials, cell, counter.first_cause);
    }
    if (!counter.sum) continue;
    for (const BrokenRule& rule : broken_rules(*counter.sum, limits_)) {
      if (rule.side == Side::server) return fmt::format("in {} ({})", cell, rule.text);
    }
  }
  return {};
}

void Gate::add(const std::string& cell, const Trial& baseline, const Trial& candidate) {
  const std::string before = failure_of(baseline), after = failure_of(candidate);
  count(baseline_[cell], baseline, before);
  count(candidate_[cell], candidate, after);
  if (before.empty() != after.empty()) failures_.push_back(after.empty() ? 1 : -1);
  for (std::size_t i = 0; i < judgements_.size(); ++i) {
    if (judgements_[i].cell != cell) continue;
    const auto a = goodness(baseline, judgements_[i].guard.metric),
               b = goodness(candidate, judgements_[i].guard.metric);
    if (a && b) {
      hypotheses_[i].log_ratios.push_back(*b - *a);
    } else if (before.empty() && after.empty()) {
      ++judgements_[i].missing;
    }
  }
}

void Gate::judge(std::size_t i, double share) {
  Hypothesis& hypothesis = hypotheses_[i];
  Judgement& judgement = judgements_[i];
  if (judgement.verdict != Verdict::undecided || hypothesis.log_ratios.empty()) return;
  const std::size_t pairs = hypothesis.log_ratios.size();
  const double of_figures = alpha_ * (1 - failures_share) / static_cast<double>(hypotheses_.size());
  const double fine = to_spend(alpha_, share, hypothesis.spent_fine, pairs);
  const double worse = to_spend(of_figures, share, hypothesis.spent_worse, pairs);
  hypothesis.spent_fine += fine;
  hypothesis.spent_worse += worse;
  const Location location = location_of(hypothesis.log_ratios, fine, worse);
  hypothesis.estimate = location.estimate;
  // A limit of an earlier look still holds.
  if (location.lower) hypothesis.lower = location.lower;
  if (location.upper) hypothesis.upper = location.upper;

  if (location.lower && *location.lower > std::log1p(-judgement.guard.margin)) {
    judgement.verdict = Verdict::fine;
  } else if (location.upper && *location.upper < 0) {
    judgement.verdict = Verdict::regressed;
  }
  const bool less = judgement.guard.metric.better == Better::less;
  const auto back = [&](const std::optional<double>& logarithm) -> std::optional<double> {
    if (!logarithm) return std::nullopt;
    return std::exp(less ? -*logarithm : *logarithm);
  };
  judgement.pairs = static_cast<std::uint32_t>(pairs);
  judgement.ratio = back(location.estimate);
  judgement.lower = back(less ? hypothesis.upper : hypothesis.lower);
  judgement.upper = back(less ? hypothesis.lower : hypothesis.upper);
}

void Gate::look(double share) {
  for (std::size_t i = 0; i < judgements_.size(); ++i) judge(i, share);
  const double level = to_spend(alpha_ * failures_share, share, spent_failures_, failures_.size());
  spent_failures_ += level;
  fails_more_ = fails_more_ || (level > 0 && p_so_low(failures_) <= level);
}

Verdict Gate::verdict() const {
  bool all_fine = true, regressed = fails_more_;
  for (const Judgement& judgement : judgements_) {
    all_fine = all_fine && judgement.verdict == Verdict::fine;
    regressed = regressed || judgement.verdict == Verdict::regressed;
  }
  if (regressed) return Verdict::regressed;
  // A candidate that fails is not shown to be fine, and a baseline that fails shows nothing.
  return all_fine && trials_in_all(candidate_) >= trials_without_failure && spoiled(candidate_).empty() &&
                 spoiled(baseline_).empty()
             ? Verdict::fine
             : Verdict::undecided;
}

std::string Gate::why() const {
  if (fails_more_) {
    return "the candidate fails " + failure_words(candidate_) + ", the baseline " + failure_words(baseline_);
  }
  const Judgement* worst = nullptr;
  std::size_t regressed = 0, undecided = 0;
  for (const Judgement& judgement : judgements_) {
    undecided += judgement.verdict == Verdict::undecided ? 1 : 0;
    if (judgement.verdict != Verdict::regressed) continue;
    ++regressed;
    const auto badness = [](const Judgement& one) { return std::fabs(std::log(*one.ratio)); };
    if (worst == nullptr || badness(judgement) > badness(*worst)) worst = &judgement;
  }
  const std::string all = fmt::format("{} {}", judgements_.size(), judgements_.size() == 1 ? "figure" : "figures");
  if (worst != nullptr) {
    std::string text = fmt::format("{} of {} is {:.1f} % {}", path_of(worst->guard.metric), worst->cell,
                                   std::fabs(*worst->ratio - 1) * 100, *worst->ratio < 1 ? "lower" : "higher");
    if (regressed > 1) text += fmt::format("; {} of {} are worse", regressed, all);
    // Its likely cause, though there are too few trials yet to show it by itself.
    if (const std::string failed = spoiled(candidate_); !failed.empty()) text += "; the candidate fails " + failed;
    return text;
  }
  const std::string before = spoiled(baseline_), after = spoiled(candidate_);
  if (!after.empty()) return "the candidate fails " + after + ", too rarely to tell it from the baseline";
  if (!before.empty()) return "the baseline fails " + before;
  if (undecided == 0 && trials_in_all(candidate_) < trials_without_failure) {
    return fmt::format("{} trials without a failure are too few to call it fine; {} are needed",
                       trials_in_all(candidate_), trials_without_failure);
  }
  if (undecided == 0) return all + " shown to be less than the margin worse";
  for (const Judgement& judgement : judgements_) {
    if (judgement.verdict != Verdict::undecided) continue;
    const std::string name = path_of(judgement.guard.metric) + " of " + judgement.cell;
    if (judgement.pairs == 0) return name + " is missing in every pair of trials";
    std::string text = fmt::format("{}: candidate/baseline {:.3f}", name, *judgement.ratio);
    const bool less = judgement.guard.metric.better == Better::less;
    if (const auto& limit = less ? judgement.upper : judgement.lower)
      text += fmt::format(", {} {:.3f}", less ? "at most" : "at least", *limit);
    text += fmt::format(", leaves open whether it is {:.3g} % worse", judgement.guard.margin * 100);
    if (undecided > 1) text += fmt::format("; {} of {} are undecided", undecided, all);
    return text;
  }
  return {};
}

std::set<std::string> Gate::open_cells() const {
  std::set<std::string> open;
  for (const Judgement& judgement : judgements_) {
    if (judgement.verdict == Verdict::undecided) open.insert(judgement.cell);
  }
  if (open.empty() && verdict() == Verdict::undecided) {
    for (const Judgement& judgement : judgements_) open.insert(judgement.cell);
  }
  return open;
}

std::string Gate::baseline_failure() const {
  for (const auto& [cell, counter] : baseline_) {
    if (counter.trials < least_trials || counter.failed < broken_baseline * counter.trials) continue;
    return fmt::format("the baseline itself fails in {} of {} trials of {} ({})", counter.failed, counter.trials, cell,
                       counter.first_cause);
  }
  return {};
}

std::optional<double> Gate::times_as_many() const {
  // An interval shrinks with the square root of the pairs: by which factor must this one, to lie on one side?
  double most = 1;
  for (std::size_t i = 0; i < judgements_.size(); ++i) {
    if (judgements_[i].verdict != Verdict::undecided) continue;
    const Hypothesis& hypothesis = hypotheses_[i];
    if (!hypothesis.estimate || (!hypothesis.lower && !hypothesis.upper)) return std::nullopt;
    const double margin = std::log1p(-judgements_[i].guard.margin), estimate = *hypothesis.estimate;
    std::optional<double> factor;
    const auto consider = [&](double width, double room) {
      if (room <= 0 || width <= 0) return;
      const double square = (width / room) * (width / room);
      factor = factor ? std::min(*factor, square) : square;
    };
    if (hypothesis.lower) consider(estimate - *hypothesis.lower, estimate - margin);
    if (hypothesis.upper) consider(*hypothesis.upper - estimate, -estimate);
    if (!factor) return std::nullopt;
    most = std::max(most, *factor);
  }
  return most;
}

}  // namespace bakeoff
