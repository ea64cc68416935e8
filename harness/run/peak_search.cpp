#include "harness/run/peak_search.h"

#include <algorithm>
#include <cmath>

#include "harness/plan/plan.h"

namespace bakeoff {

double round_rate(double rate) {
  if (rate <= 0) return 0;
  const double unit = std::pow(10, std::floor(std::log10(rate)) - 2);
  return unit >= 1 ? std::round(rate / unit) * unit : std::round(rate / unit) / std::round(1 / unit);
}

std::optional<double> PeakSearch::too_much() const {
  for (const auto& [rate, sustained] : tried_) {
    if (!sustained) return rate;
  }
  return std::nullopt;
}

std::optional<double> PeakSearch::peak() const {
  const std::optional<double> bound = too_much();
  std::optional<double> best;
  for (const auto& [rate, sustained] : tried_) {
    if (sustained && (!bound || rate < *bound)) best = rate;
  }
  return best;
}

std::optional<double> PeakSearch::next() const {
  const std::optional<double> low = peak(), high = too_much();
  double rate = limits_.start;
  if (low && high) {
    if (*high / *low <= 1 + limits_.tolerance) return std::nullopt;
    rate = std::sqrt(*low * *high);
  } else if (low) {
    rate = std::min(*low * 2, limits_.most);
  } else if (high) {
    rate = std::max(*high / 2, limits_.least);
  }
  rate = round_rate(rate);
  if (tried_.contains(rate)) return std::nullopt;  // as fine as rates are told apart, or at an end of their range
  return rate;
}

void PeakSearch::judge(double rate, bool sustained) {
  tried_[rate] = sustained;
  path_ += (path_.empty() ? "" : ", ") + rate_text(rate) + (sustained ? " yes" : " no");
}

}  // namespace bakeoff
