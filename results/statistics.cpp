#include "results/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "core/base/check.h"

namespace bakeoff {
namespace {

constexpr std::size_t most_exact = 200;
constexpr double tail = 0.025;
// A tail of 1/32, which five values have, passes for one of 1/40.
constexpr double most_tail = 0.0325;

double normal_below(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

// P(W <= w) for w = 0, 1, ..., for ranks that are 1 to n: every sum of a subset of the ranks, each subset
// equally often.
std::vector<double> signed_rank_distribution(const std::vector<std::size_t>& ranks) {
  std::vector<double> share(std::accumulate(ranks.begin(), ranks.end(), std::size_t{0}) + 1, 0.0);
  share[0] = 1;
  std::size_t most = 0;
  for (const std::size_t rank : ranks) {
    most += rank;
    for (std::size_t sum = most + 1; sum-- > 0;) share[sum] = (share[sum] + (sum >= rank ? share[sum - rank] : 0)) / 2;
  }
  std::partial_sum(share.begin(), share.end(), share.begin());
  return share;
}

// P(U <= u) of the rank-sum test: the number of pairs in which the second sample's value is the smaller one.
std::vector<double> rank_sum_distribution(std::size_t m, std::size_t n) {
  // ways[j][u]: of i values of the first sample and j of the second; the largest is one or the other.
  std::vector<std::vector<double>> share(n + 1, std::vector<double>(m * n + 1, 0.0));
  for (std::size_t j = 0; j <= n; ++j) share[j][0] = 1;
  for (std::size_t i = 1; i <= m; ++i) {
    std::vector<std::vector<double>> next(n + 1, std::vector<double>(m * n + 1, 0.0));
    next[0][0] = 1;
    for (std::size_t j = 1; j <= n; ++j) {
      const double all = static_cast<double>(i + j);
      for (std::size_t u = 0; u <= i * j; ++u) {
        // The largest of all belongs to the first sample (all j of the second lie below it) or to the second.
        const double first = u >= j ? share[j][u - j] : 0;
        next[j][u] = (static_cast<double>(i) * first + static_cast<double>(j) * next[j - 1][u]) / all;
      }
    }
    share = std::move(next);
  }
  std::vector<double> total = share[n];
  std::partial_sum(total.begin(), total.end(), total.begin());
  return total;
}

// How many of the sorted candidates lie below the limit: the greatest k such that P(W <= k - 1) is at
// most `probability`.
std::size_t cut(const std::vector<double>& distribution, double probability) {
  std::size_t k = 0;
  while (k < distribution.size() && distribution[k] <= probability) ++k;
  return k;
}

// The distribution of n ranks without ties, computed once each.
const std::vector<double>& signed_rank_distribution(std::size_t n) {
  static thread_local std::map<std::size_t, std::vector<double>> known;
  const auto found = known.find(n);
  if (found != known.end()) return found->second;
  std::vector<std::size_t> ranks(n);
  std::iota(ranks.begin(), ranks.end(), std::size_t{1});
  return known.emplace(n, signed_rank_distribution(ranks)).first->second;
}

std::vector<double> pair_means(const std::vector<double>& values) {
  std::vector<double> means;
  means.reserve(values.size() * (values.size() + 1) / 2);
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = i; j < values.size(); ++j) means.push_back((values[i] + values[j]) / 2);
  }
  std::sort(means.begin(), means.end());
  return means;
}

double middle_of(const std::vector<double>& sorted) {
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// How many of the candidates are cut off at one end, where the exact distribution would take too long.
std::size_t normal_cut(double mean, double deviation, double probability) {
  double z = -8;
  while (normal_below(z + 0.001) <= probability) z += 0.001;
  return static_cast<std::size_t>(std::max(0.0, std::floor(mean + z * deviation - 0.5) + 1));
}

std::size_t signed_rank_cut(std::size_t n, double probability) {
  if (n <= most_exact) return cut(signed_rank_distribution(n), probability);
  const double count = static_cast<double>(n);
  return normal_cut(count * (count + 1) / 4, std::sqrt(count * (count + 1) * (2 * count + 1) / 24), probability);
}

}  // namespace

double median(std::vector<double> values) {
  BAKEOFF_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  return middle_of(values);
}

Location location_of(const std::vector<double>& values, double below, double above) {
  BAKEOFF_CHECK(!values.empty());
  const std::vector<double> means = pair_means(values);
  Location location;
  location.estimate = middle_of(means);
  if (const std::size_t k = signed_rank_cut(values.size(), below); k > 0) location.lower = means[k - 1];
  if (const std::size_t k = signed_rank_cut(values.size(), above); k > 0) location.upper = means[means.size() - k];
  return location;
}

Location shift_between(const std::vector<double>& from, const std::vector<double>& to, double below, double above) {
  BAKEOFF_CHECK(!from.empty() && !to.empty());
  std::vector<double> differences;
  for (const double a : from) {
    for (const double b : to) differences.push_back(b - a);
  }
  std::sort(differences.begin(), differences.end());
  Location location;
  location.estimate = middle_of(differences);
  const auto cut_off = [&](double probability) {
    if (from.size() + to.size() <= most_exact) return cut(rank_sum_distribution(from.size(), to.size()), probability);
    const double m = static_cast<double>(from.size()), n = static_cast<double>(to.size());
    return normal_cut(m * n / 2, std::sqrt(m * n * (m + n + 1) / 12), probability);
  };
  if (const std::size_t k = cut_off(below); k > 0) location.lower = differences[k - 1];
  if (const std::size_t k = cut_off(above); k > 0) location.upper = differences[differences.size() - k];
  return location;
}

Figure figure_of(const std::vector<double>& values, Scatter scatter) {
  Figure figure;
  figure.n = static_cast<std::uint32_t>(values.size());
  if (values.empty()) return figure;
  const bool logarithms =
      scatter == Scatter::factors && std::all_of(values.begin(), values.end(), [](double value) { return value > 0; });
  std::vector<double> taken = values;
  if (logarithms)
    std::transform(values.begin(), values.end(), taken.begin(), [](double value) { return std::log(value); });
  // Of the tails that whole ranks allow, the one nearest to 2.5 %.
  double probability = tail;
  if (values.size() <= most_exact) {
    const std::vector<double>& distribution = signed_rank_distribution(values.size());
    const std::size_t next = cut(distribution, tail);
    const double below = next == 0 ? 0 : distribution[next - 1];
    if (next < distribution.size() && distribution[next] <= most_tail && distribution[next] - tail < tail - below)
      probability = distribution[next];
  }
  const Location location = location_of(taken, probability, probability);
  // Taken back from logarithms, a value may miss its own by the last digit.
  const auto ends = std::minmax_element(values.begin(), values.end());
  const auto back = [&](double value) {
    return std::clamp(logarithms ? std::exp(value) : value, *ends.first, *ends.second);
  };
  figure.median = back(location.estimate);
  if (location.lower && location.upper) {
    figure.lower = back(*location.lower);
    figure.upper = back(*location.upper);
  }
  return figure;
}

double p_so_low(const std::vector<double>& differences) {
  std::vector<double> left;
  std::copy_if(differences.begin(), differences.end(), std::back_inserter(left),
               [](double value) { return value != 0; });
  if (left.empty()) return 1;
  std::sort(left.begin(), left.end(), [](double a, double b) { return std::fabs(a) < std::fabs(b); });
  // Twice the rank, so that the mean rank of equal ones is a whole number.
  std::vector<std::size_t> ranks(left.size());
  for (std::size_t first = 0; first < left.size();) {
    std::size_t last = first;
    while (last + 1 < left.size() && std::fabs(left[last + 1]) == std::fabs(left[first])) ++last;
    for (std::size_t i = first; i <= last; ++i) ranks[i] = first + last + 2;
    first = last + 1;
  }
  std::size_t positive = 0;
  for (std::size_t i = 0; i < left.size(); ++i) positive += left[i] > 0 ? ranks[i] : 0;
  if (left.size() <= most_exact) return std::min(1.0, signed_rank_distribution(ranks)[positive]);
  double variance = 0, mean = 0;
  for (const std::size_t rank : ranks) {
    mean += static_cast<double>(rank) / 2;
    variance += static_cast<double>(rank) * static_cast<double>(rank) / 4;
  }
  return normal_below((static_cast<double>(positive) - mean + 1) / std::sqrt(variance));
}

double p_so_far(const std::vector<double>& differences) {
  std::vector<double> negated = differences;
  for (double& value : negated) value = -value;
  return std::min(1.0, 2 * std::min(p_so_low(differences), p_so_low(negated)));
}

std::vector<bool> holm_rejects(const std::vector<double>& p_values, double alpha) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<bool> rejected(p_values.size(), false);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (p_values[order[i]] > alpha / static_cast<double>(order.size() - i)) break;
    rejected[order[i]] = true;
  }
  return rejected;
}

std::size_t settled_after(const std::vector<double>& series) {
  if (series.size() < 4) return 0;
  std::size_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t skipped = 0; skipped <= series.size() / 2; ++skipped) {
    const auto begin = series.begin() + static_cast<std::ptrdiff_t>(skipped);
    const double count = static_cast<double>(series.size() - skipped);
    const double mean = std::accumulate(begin, series.end(), 0.0) / count;
    double squares = 0;
    for (auto value = begin; value != series.end(); ++value) squares += (*value - mean) * (*value - mean);
    if (const double statistic = squares / (count * count); statistic < least) {
      least = statistic;
      best = skipped;
    }
  }
  return best;
}

}  // namespace bakeoff
