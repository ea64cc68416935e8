#include "results/stored_comparison.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "core/base/random.h"

namespace bakeoff {
namespace {

constexpr std::uint32_t permutations = 20'000;
constexpr std::uint32_t resamples = 10'000;
constexpr double tail = 0.025;

// The logarithms of one cell's trials, better is greater.
struct Sample {
  std::vector<double> baseline, candidate;
};

std::vector<double> logarithms(const CellResult& cell, const MetricName& by) {
  std::vector<double> logs;
  for (const Trial& trial : cell.trials) {
    const auto& figure = trial.figures[by.metric];
    if (trial.counted && trial.valid && figure && *figure > 0)
      logs.push_back(by.better == Better::less ? -std::log(*figure) : std::log(*figure));
  }
  return logs;
}

double mean(const double* values, std::size_t count) {
  return std::accumulate(values, values + count, 0.0) / static_cast<double>(count);
}
double mean(const std::vector<double>& values) { return mean(values.data(), values.size()); }

double mean_difference(const std::vector<Sample>& samples) {
  double sum = 0;
  for (const Sample& sample : samples) sum += mean(sample.candidate) - mean(sample.baseline);
  return sum / static_cast<double>(samples.size());
}

// A resample of the values, scattering about their mean as widely as fresh ones would.
double resampled_mean(const std::vector<double>& values, Random& random) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    sum += values[random.below(static_cast<std::uint32_t>(values.size()))];
  const auto n = static_cast<double>(values.size());
  const double centre = mean(values);
  return centre + (sum / n - centre) * std::sqrt(n / (n - 1));
}

Comparison compare(const std::vector<Sample>& samples, double threshold) {
  Comparison comparison;
  comparison.threshold = threshold;
  comparison.pairs = static_cast<std::uint32_t>(samples.size());
  const double observed = mean_difference(samples);
  Random random(samples.size());  // the same verdict for the same figures

  std::uint32_t as_bad = 0;
  std::vector<std::vector<double>> pools;
  for (const Sample& sample : samples) {
    pools.push_back(sample.baseline);
    pools.back().insert(pools.back().end(), sample.candidate.begin(), sample.candidate.end());
  }
  for (std::uint32_t i = 0; i < permutations; ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < pools.size(); ++c) {
      std::vector<double>& pool = pools[c];
      for (std::size_t left = pool.size(); left > 1; --left)
        std::swap(pool[left - 1], pool[random.below(static_cast<std::uint32_t>(left))]);
      const std::size_t split = samples[c].baseline.size();
      sum += mean(pool.data() + split, pool.size() - split) - mean(pool.data(), split);
    }
    as_bad += sum / static_cast<double>(pools.size()) <= observed + 1e-12 ? 1 : 0;
  }
  comparison.p_slower = static_cast<double>(as_bad + 1) / (permutations + 1);

  std::vector<double> differences(resamples);
  for (double& one : differences) {
    double sum = 0;
    for (const Sample& sample : samples)
      sum += resampled_mean(sample.candidate, random) - resampled_mean(sample.baseline, random);
    one = sum / static_cast<double>(samples.size());
  }
  std::sort(differences.begin(), differences.end());
  comparison.ratio = std::exp(observed);
  comparison.lower = std::exp(differences[static_cast<std::size_t>(tail * resamples)]);
  comparison.upper = std::exp(differences[static_cast<std::size_t>((1 - tail) * resamples) - 1]);
  judge(comparison);
  return comparison;
}

std::string shown(const nlohmann::json& value) {
  if (value.is_null()) return "unknown";
  return value.is_string() ? value.get<std::string>() : value.dump();
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
  for (const char* part :
       {"kernel", "cpu", "processors", "governor", "memory_bytes", "transparent_hugepage", "placement", "limits"}) {
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
                                const MetricName& by, double threshold) {
  StoredComparison comparison;
  std::vector<Sample> samples;
  for (const CellResult& before : baseline.cells) {
    const auto after = std::find_if(candidate.cells.begin(), candidate.cells.end(),
                                    [&](const CellResult& cell) { return cell.cell.id == before.cell.id; });
    if (after == candidate.cells.end() || !before.valid || !after->valid) continue;
    Sample sample{logarithms(before, by), logarithms(*after, by)};
    if (sample.baseline.size() < least_trials || sample.candidate.size() < least_trials) continue;
    comparison.cells[before.cell.id] = compare({sample}, threshold);
    samples.push_back(std::move(sample));
  }
  if (samples.empty()) {
    comparison.all.threshold = threshold;
    comparison.all.why =
        "no cell is valid in both with at least " + std::to_string(least_trials) + " trials that count";
    return comparison;
  }
  comparison.all = compare(samples, threshold);
  return comparison;
}

}  // namespace bakeoff
