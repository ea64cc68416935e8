#include "results/stored_comparison.h"
#include "core/base/untrusted.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bakeoff {
namespace {

// The logarithms of the trials that count; greater is better.
std::vector<double> logarithms(const CellResult& cell, const MetricName& by) {
  std::vector<double> logs;
  for (const Trial& trial : cell.trials) {
    const auto& figure = trial.figures[by.metric];
    if (trial.counted && figure && *figure > 0)
      logs.push_back(by.better == Better::less ? -std::log(*figure) : std::log(*figure));
  }
  return logs;
}

std::string shown(const nlohmann::json& value) {
  if (value.is_null()) return "unknown";
  return value.is_string() ? value.get<std::string>() : json_text(value);
}

}  // namespace

std::vector<std::string> environment_differences(const ExperimentResult& baseline, const ExperimentResult& candidate) {
  std::vector<std::string> differences;
  const auto compare_part = [&](const std::string& name, const nlohmann::json& a, const nlohmann::json& b) {
    if (a != b) differences.push_back(name + ": " + shown(a) + " against " + shown(b));
  };
  if (baseline.spec_sha256 != candidate.spec_sha256) differences.push_back("the specification");
  const nlohmann::json nothing = nlohmann::json::object();
  const nlohmann::json& a = baseline.environment.is_object() ? baseline.environment : nothing;
  const nlohmann::json& b = candidate.environment.is_object() ? candidate.environment : nothing;
  for (const char* part : {"kernel", "cpu", "processors", "governor", "memory_bytes", "transparent_hugepage",
                           "proactive_reclaim", "placement", "limits"}) {
    compare_part(part, a.value(part, nlohmann::json()), b.value(part, nlohmann::json()));
  }
  const nlohmann::json settings_a = a.value("sysctls", nothing), settings_b = b.value("sysctls", nothing);
  std::set<std::string> names;
  for (const auto* settings : {&settings_a, &settings_b}) {
    for (const auto& [name, value] : settings->items()) names.insert(name);
  }
  for (const std::string& name : names)
    compare_part(name, settings_a.value(name, nlohmann::json()), settings_b.value(name, nlohmann::json()));
  const nlohmann::json programs_a = a.value("binaries", nothing), programs_b = b.value("binaries", nothing);
  for (const char* client : {"bakeoff-load", "bakeoff-ceiling"}) {
    if (programs_a.value(client, "") != programs_b.value(client, ""))
      differences.push_back(std::string("another build of ") + client);
  }
  return differences;
}

StoredComparison compare_stored(const ExperimentResult& baseline, const ExperimentResult& candidate,
                                const std::vector<Guard>& guards, double alpha) {
  StoredComparison comparison;
  struct Samples {
    std::vector<double> before, after;
  };
  std::vector<Samples> samples;
  for (const CellResult& before : baseline.cells) {
    const std::string& id = before.cell.id;
    const auto after = std::find_if(candidate.cells.begin(), candidate.cells.end(),
                                    [&](const CellResult& cell) { return cell.cell.id == id; });
    if (before.trials.empty()) continue;
    if (!before.valid) {
      comparison.left_out.push_back(id + ": not valid in the baseline: " + before.reasons.front());
    } else if (after == candidate.cells.end() || after->trials.empty()) {
      comparison.left_out.push_back(id + ": not measured in the candidate");
    } else if (!after->valid) {
      comparison.failures.push_back(id + ": not valid in the candidate alone: " + after->reasons.front());
    } else if (before.is_final != after->is_final) {
      comparison.left_out.push_back(id + ": measured again with fresh trials in one of the two alone");
    } else {
      for (const Guard& guard : guards) {
        const bool of_ceiling = guard.metric.metric == Metric::relative_to_ceiling ||
                                guard.metric.metric == Metric::cpu_relative_to_ceiling;
        if (of_ceiling && (before.cell.rate || before.cell.load_model == "open")) {
          comparison.left_out.push_back(id + ": " + path_of(guard.metric) +
                                        " depends on the ceiling's speed, which means nothing at a fixed rate");
          continue;
        }
        Samples some{logarithms(before, guard.metric), logarithms(*after, guard.metric)};
        if (some.before.empty() || some.after.empty()) {
          comparison.left_out.push_back(id + ": " + path_of(guard.metric) + " is missing in one of the two");
          continue;
        }
        comparison.judgements.push_back(
            {id, guard, static_cast<std::uint32_t>(some.after.size()), 0, {}, {}, {}, Verdict::undecided});
        samples.push_back(std::move(some));
      }
    }
  }
  comparison.comparable = !comparison.judgements.empty() || !comparison.failures.empty();
  std::size_t regressed = comparison.failures.size(), fine = 0;
  const Judgement* worst = nullptr;
  const Judgement* open = nullptr;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    Judgement& judgement = comparison.judgements[i];
    const Location shift =
        shift_between(samples[i].before, samples[i].after, alpha, alpha / static_cast<double>(samples.size()));
    const bool less = judgement.guard.metric.better == Better::less;
    const auto back = [&](const std::optional<double>& logarithm) -> std::optional<double> {
      if (!logarithm) return std::nullopt;
      return std::exp(less ? -*logarithm : *logarithm);
    };
    judgement.ratio = back(shift.estimate);
    judgement.lower = back(less ? shift.upper : shift.lower);
    judgement.upper = back(less ? shift.lower : shift.upper);
    if (shift.lower && *shift.lower > std::log1p(-judgement.guard.margin)) {
      judgement.verdict = Verdict::fine;
      ++fine;
    } else if (shift.upper && *shift.upper < 0) {
      judgement.verdict = Verdict::regressed;
      ++regressed;
      if (worst == nullptr || std::fabs(std::log(*judgement.ratio)) > std::fabs(std::log(*worst->ratio)))
        worst = &judgement;
    } else if (open == nullptr) {
      open = &judgement;
    }
  }
  const auto named = [](const Judgement& one) {
    return fmt::format("{} of {}: candidate/baseline {:.3f}", path_of(one.guard.metric), one.cell, *one.ratio);
  };
  if (regressed > 0) {
    comparison.verdict = Verdict::regressed;
    comparison.why = !comparison.failures.empty() ? comparison.failures.front() : named(*worst);
    if (regressed > 1) comparison.why += fmt::format("; {} are worse", regressed);
  } else if (!comparison.comparable) {
    comparison.why = "no cell can be compared";
    if (!comparison.left_out.empty()) comparison.why += ": " + comparison.left_out.front();
  } else if (open == nullptr && comparison.left_out.empty()) {
    comparison.verdict = Verdict::fine;
    comparison.why = fmt::format("{} shown to be less than the margin worse", fine);
  } else if (open != nullptr) {
    comparison.why = named(*open) + fmt::format(" leaves open whether it is {:.3g} % worse", open->guard.margin * 100);
  } else {
    comparison.why = "not everything could be compared: " + comparison.left_out.front();
  }
  return comparison;
}

}  // namespace bakeoff
