#include "results/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "core/base/random.h"

namespace bakeoff {
namespace {

constexpr double alpha = 0.05;
constexpr std::size_t exact_pairs = 20;
constexpr std::uint32_t random_flips = 200'000;
constexpr std::uint32_t resamples = 10'000;

std::vector<double> logarithms(const std::vector<double>& ratios) {
  std::vector<double> logs;
  for (const double ratio : ratios) logs.push_back(std::log(ratio));
  return logs;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::pair<double, double> bootstrap_interval(const std::vector<double>& logs) {
  Random random(logs.size());  // the same verdict for the same figures
  std::vector<double> means(resamples);
  for (double& one : means) {
    double sum = 0;
    for (std::size_t i = 0; i < logs.size(); ++i) sum += logs[random.below(static_cast<std::uint32_t>(logs.size()))];
    one = sum / static_cast<double>(logs.size());
  }
  std::sort(means.begin(), means.end());
  // The percentile interval of so few is too narrow by sqrt(n / (n - 1)): the resamples scatter as the sample does about
  // its own mean.
  const double centre = mean(logs),
               widen = std::sqrt(static_cast<double>(logs.size()) / static_cast<double>(logs.size() - 1));
  const double lower = means[static_cast<std::size_t>(alpha / 2 * resamples)],
               upper = means[static_cast<std::size_t>((1 - alpha / 2) * resamples) - 1];
  return {centre + (lower - centre) * widen, centre + (upper - centre) * widen};
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

double sign_flip_p_slower(const std::vector<double>& log_ratios) {
  const std::size_t n = log_ratios.size();
  if (n == 0) return 1;
  const double observed = std::accumulate(log_ratios.begin(), log_ratios.end(), 0.0);
  const double tolerance = 1e-12 * std::max(1.0, std::fabs(observed));  // the observed assignment itself must count
  const auto sum_of = [&](std::uint64_t flips) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += (flips >> (i % 64) & 1) != 0 ? -log_ratios[i] : log_ratios[i];
    return sum;
  };
  std::uint64_t as_slow = 0;
  if (n <= exact_pairs) {
    const std::uint64_t all = std::uint64_t{1} << n;
    for (std::uint64_t flips = 0; flips < all; ++flips) as_slow += sum_of(flips) <= observed + tolerance ? 1 : 0;
    return static_cast<double>(as_slow) / static_cast<double>(all);
  }
  Random random(n);
  for (std::uint32_t i = 0; i < random_flips; ++i) as_slow += sum_of(random.next()) <= observed + tolerance ? 1 : 0;
  return static_cast<double>(as_slow + 1) / (random_flips + 1);
}

Comparison compare_pairs(const std::vector<double>& ratios, double threshold) {
  Comparison comparison;
  comparison.pairs = static_cast<std::uint32_t>(ratios.size());
  comparison.threshold = threshold;
  if (ratios.size() < 2) {
    comparison.why = "fewer than 2 pairs say nothing";
    return comparison;
  }
  const std::vector<double> logs = logarithms(ratios);
  const auto [lower, upper] = bootstrap_interval(logs);
  comparison.ratio = std::exp(mean(logs));
  comparison.lower = std::exp(lower);
  comparison.upper = std::exp(upper);
  comparison.p_slower = sign_flip_p_slower(logs);
  if (ratios.size() < least_pairs) {
    comparison.why = "no verdict below " + std::to_string(least_pairs) + " pairs";
  } else {
    judge(comparison);
  }
  return comparison;
}

void judge(Comparison& comparison) {
  const double threshold = comparison.threshold;
  char text[160];
  comparison.verdict = Verdict::undecided;
  if (comparison.p_slower <= alpha && comparison.upper < 1 && comparison.ratio < 1 - threshold) {
    comparison.verdict = Verdict::regressed;
    std::snprintf(text, sizeof text, "worse by %.1f %%, by chance in %.2g %% of cases", (1 - comparison.ratio) * 100,
                  comparison.p_slower * 100);
  } else if (comparison.lower > 1 - threshold) {
    comparison.verdict = Verdict::fine;
    std::snprintf(text, sizeof text, "not worse by the %.1f %% that matter", threshold * 100);
  } else {
    std::snprintf(text, sizeof text, "the interval %.3f .. %.3f leaves open whether it is worse by %.1f %%",
                  comparison.lower, comparison.upper, threshold * 100);
  }
  comparison.why = text;
}

double noise_floor(const std::vector<double>& self_ratios, double least) {
  if (self_ratios.size() < 2) return least;
  const auto [lower, upper] = bootstrap_interval(logarithms(self_ratios));
  return std::max({least, 1 - std::exp(lower), std::exp(upper) - 1});
}

}  // namespace bakeoff
