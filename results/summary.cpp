#include "results/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/untrusted.h"
#include "results/histogram.h"

namespace bakeoff {
namespace {

std::string of(std::size_t some, std::size_t all) {
  return fmt::format("{} of {} {}", some, all, all == 1 ? "trial" : "trials");
}

// Each text with the number of trials that it holds for, in the order of first mention.
std::vector<std::string> tallied(const std::vector<std::string>& texts, std::size_t all) {
  std::vector<std::pair<std::string, std::size_t>> times;
  for (const std::string& text : texts) {
    const auto found = std::find_if(times.begin(), times.end(), [&](const auto& one) { return one.first == text; });
    if (found == times.end()) {
      times.emplace_back(text, 1);
    } else {
      ++found->second;
    }
  }
  std::vector<std::string> lines;
  for (const auto& [text, count] : times) lines.push_back(count == all ? text : of(count, all) + ": " + text);
  return lines;
}

// What all replies of these trials took; empty when one of them kept no histogram.
Figures pooled_latency(const std::vector<const Trial*>& trials) {
  Figures pooled;
  Histogram merged;
  for (const Trial* trial : trials) {
    const nlohmann::json::json_pointer place("/load/histogram");
    if (!trial->evidence.contains(place)) {
      if (trial->counts && trial->counts->replies > 0) return pooled;
      continue;  // without replies there is nothing to add
    }
    const auto& text = trial->evidence.at(place).get_ref<const std::string&>();
    merged.merge(Histogram::from_json(parse_untrusted(text, "a trial's histogram")));
  }
  if (merged.count() == 0) return pooled;
  const auto put = [&](Metric metric, double value_ns) { pooled[metric] = value_ns * 1e-6; };
  put(Metric::latency_mean_ms, merged.mean_ns());
  put(Metric::latency_p50_ms, static_cast<double>(merged.percentile_ns(0.5)));
  put(Metric::latency_p90_ms, static_cast<double>(merged.percentile_ns(0.9)));
  put(Metric::latency_p95_ms, static_cast<double>(merged.percentile_ns(0.95)));
  put(Metric::latency_p99_ms, static_cast<double>(merged.percentile_ns(0.99)));
  put(Metric::latency_p999_ms, static_cast<double>(merged.percentile_ns(0.999)));
  put(Metric::latency_max_ms, static_cast<double>(merged.max_ns()));
  return pooled;
}

void apply_rules(CellResult& result, const std::vector<const Trial*>& counted, const CellRules& rules) {
  std::vector<std::string> failures;
  std::optional<LoadCounts> sum;
  for (const Trial* trial : counted) {
    failures.insert(failures.end(), trial->failures.begin(), trial->failures.end());
    if (trial->counts) sum = sum ? *sum + *trial->counts : *trial->counts;
  }
  for (std::string& line : tallied(failures, counted.size())) result.reasons.push_back(std::move(line));
  if (sum) {
    for (const BrokenRule& rule : broken_rules(*sum, rules.validity)) result.reasons.push_back(rule.text);
  } else if (failures.empty() && result.summary[Metric::replies_per_s].n == 0) {
    result.reasons.push_back("no trial has a report of the client");
  }
  for (const auto& [metric, limit_ms] : rules.slo) {
    // Where no histogram was kept, the estimate over the trials stands for all replies.
    const auto& all = result.summary.pooled[metric];
    const auto latency_ms = all ? all : result.summary[metric].median;
    if (latency_ms && *latency_ms > limit_ms) {
      result.reasons.push_back(fmt::format("misses the SLO: latency {} {:.4g} ms over all replies, above {:.4g} ms",
                                           name_of(metric).name, *latency_ms, limit_ms));
    }
  }
}

// What does not spoil a cell, and what a reader should know.
void add_remarks(CellResult& result, const std::vector<const Trial*>& counted, const CellRules& rules) {
  std::vector<double> drifts;
  std::vector<std::string> remarks;
  for (const Trial* trial : counted) {
    if (trial->drift) drifts.push_back(*trial->drift);
    remarks.insert(remarks.end(), trial->remarks.begin(), trial->remarks.end());
  }
  const Figure drift = figure_of(drifts, Scatter::amounts);
  if (drift.lower && (*drift.lower > rules.drift || *drift.upper < -rules.drift)) {
    result.reasons.push_back(fmt::format("not settled: throughput {} by {:.0f} % within the measured time",
                                         *drift.median > 0 ? "rose" : "fell",
                                         std::fabs(std::expm1(*drift.median)) * 100));
  }
  for (std::string& line : tallied(remarks, counted.size())) result.reasons.push_back(std::move(line));
}

}  // namespace

std::vector<const Trial*> outcomes(const std::vector<Trial>& trials) {
  std::map<TrialKey, const Trial*> last;
  for (const Trial& trial : trials) {
    const Trial*& found = last[trial.key];
    if (found == nullptr || found->attempt <= trial.attempt) found = &trial;
  }
  std::vector<const Trial*> all;
  for (const auto& [key, trial] : last) {
    if (trial->void_causes.empty()) all.push_back(trial);
  }
  return all;
}

CellResult summarise(const Cell& cell, const std::vector<Trial>& trials, const CellRules& rules) {
  CellResult result;
  result.cell = cell;
  for (const Trial& trial : trials) {
    if (trial.key.cell_id != cell.id) continue;
    result.trials.push_back(trial);
    result.trials.back().counted = false;
  }
  if (result.trials.empty()) {
    result.reasons.push_back("not measured");
    return result;
  }
  const auto is_final = [](const Trial& trial) { return trial.key.phase == Phase::final; };
  result.is_final = std::any_of(result.trials.begin(), result.trials.end(), is_final);
  std::vector<Trial> of_phase;
  std::vector<std::string> void_causes;
  std::map<TrialKey, bool> keys;
  for (const Trial& trial : result.trials) {
    if (is_final(trial) != result.is_final) continue;
    of_phase.push_back(trial);
    keys[trial.key] = true;
    if (trial.void_causes.empty()) continue;
    ++result.void_trials;
    void_causes.push_back(trial.void_causes.front());
  }

  std::vector<const Trial*> counted = outcomes(of_phase);
  const bool all_void = counted.empty();
  if (all_void) {
    for (const Trial& trial : of_phase) counted.push_back(&trial);
  }
  for (const MetricName& metric : metric_table) {
    std::vector<double> values;
    for (const Trial* trial : counted) {
      if (const auto& value = trial->figures[metric.metric]) values.push_back(*value);
    }
    result.summary[metric.metric] = figure_of(values, metric.scatter);
  }
  result.summary.pooled = pooled_latency(counted);
  if (all_void) {
    result.reasons.push_back("every trial was void: " + tallied(void_causes, void_causes.size()).front());
    return result;
  }
  apply_rules(result, counted, rules);
  result.valid = result.reasons.empty();
  if (counted.size() < keys.size())
    result.reasons.push_back(of(keys.size() - counted.size(), keys.size()) +
                             " stayed void: " + tallied(void_causes, void_causes.size()).front());
  add_remarks(result, counted, rules);
  for (Trial& trial : result.trials) {
    trial.counted = std::any_of(counted.begin(), counted.end(), [&](const Trial* one) {
      return one->key == trial.key && one->attempt == trial.attempt;
    });
  }
  return result;
}

}  // namespace bakeoff
