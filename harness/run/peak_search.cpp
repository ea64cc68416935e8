#include "harness/run/peak_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "results/model.h"

namespace bakeoff {
namespace {

constexpr double credible = 0.95;
// Between two places: a fraction of the tolerance, so that the interval's ends are not the grid's.
constexpr double places_per_tolerance = 8;
constexpr double least_step = 0.002, most_step = 0.01;
// Before anything is known: each e-fold away from the start takes a fifth of the probability.
constexpr double prior_falloff = 0.25;
constexpr double boldest_step = 4;  // above the highest rate that was sustained
// The quantiles at which it asks, by turns. Answers away from the median show more about how gradually the server gives
// way: in simulations (tests/harness/run/peak_search_test.cpp) the intervals then have their nominal coverage, and
// are narrower.
constexpr std::array<double, 3> turns = {0.5, 0.3, 0.7};

// The prior, uniform over both: how often an answer is wrong far from the peak, and over which range of logarithms the
// server gives way (the scale of a logistic curve: from 12 to 88 % over four of them).
constexpr std::array<double, 5> wrong_shares = {0.01, 0.05, 0.12, 0.2, 0.3};
constexpr std::array<double, 5> gradual_scales = {0.005, 0.025, 0.06, 0.12, 0.25};

}  // namespace

double round_rate(double rate) {
  if (rate <= 0) return 0;
  const double unit = std::pow(10, std::floor(std::log10(rate)) - 2);
  return unit >= 1 ? std::round(rate / unit) * unit : std::round(rate / unit) / std::round(1 / unit);
}

PeakSearch::PeakSearch(PeakLimits limits) : limits_(limits) {
  const double low = std::log(limits_.least), high = std::log(limits_.most);
  const double step = std::clamp(std::log1p(limits_.tolerance) / places_per_tolerance, least_step, most_step);
  places_.push_back(low - 1);
  const auto count = static_cast<std::size_t>((high - low) / step);
  for (std::size_t i = 0; i <= count; ++i) places_.push_back(low + static_cast<double>(i) * step);
  places_.push_back(high + 1);
  std::vector<double> prior;
  for (const double place : places_)
    prior.push_back(std::exp(-prior_falloff * std::fabs(place - std::log(limits_.start))));
  // Beyond an end lies all that the falloff would leave there.
  prior.front() *= 1 / (prior_falloff * step);
  prior.back() *= 1 / (prior_falloff * step);
  const double all = std::accumulate(prior.begin(), prior.end(), 0.0);
  of_place_.assign(places_.size(), 0);
  for (std::size_t i = 0; i < places_.size(); ++i) of_place_[i] = prior[i] / all;
  constexpr std::size_t hypotheses = wrong_shares.size() * gradual_scales.size();
  for (double& one : prior) one /= all * hypotheses;
  probability_.assign(hypotheses, prior);
}

std::size_t PeakSearch::quantile(double share) const {
  double sum = 0;
  for (std::size_t i = 0; i < of_place_.size(); ++i) {
    sum += of_place_[i];
    if (sum >= share) return i;
  }
  return of_place_.size() - 1;
}

std::optional<double> PeakSearch::rate_at(std::size_t place) const {
  if (place == 0 || place + 1 == places_.size()) return std::nullopt;
  return std::exp(places_[place]);
}

PeakEstimate PeakSearch::estimate() const {
  const std::size_t low = quantile((1 - credible) / 2), high = quantile((1 + credible) / 2), middle = quantile(0.5);
  PeakEstimate estimate;
  estimate.answers = answers_;
  if (middle > 0) estimate.rate = round_rate(rate_at(middle).value_or(limits_.most));
  estimate.lower = low + 1 == places_.size() ? limits_.most : rate_at(low);
  estimate.upper = high == 0 ? limits_.least : rate_at(high);
  const bool at_an_end = low + 1 == places_.size() || high == 0;
  estimate.within_tolerance =
      at_an_end || (estimate.lower && estimate.upper && *estimate.upper / *estimate.lower <= 1 + limits_.tolerance);
  return estimate;
}

std::optional<double> PeakSearch::next() const {
  if (asked_ >= limits_.answers || estimate().within_tolerance) return std::nullopt;
  if (asked_ == 0) return round_rate(limits_.start);
  const double rate = std::exp(places_[quantile(turns[asked_ % turns.size()])]);
  const double boldest = std::max(limits_.start, boldest_step * highest_sustained_);
  return round_rate(std::clamp(rate, limits_.least, std::min(boldest, limits_.most)));
}

void PeakSearch::judge(double rate, std::optional<bool> sustained) {
  ++asked_;
  path_ += (path_.empty() ? "" : ", ") + rate_text(rate) + (!sustained ? " ?" : *sustained ? " yes" : " no");
  if (!sustained) return;
  ++answers_;
  if (*sustained) highest_sustained_ = std::max(highest_sustained_, rate);
  const double asked = std::log(rate);
  std::vector<double> curve(places_.size());
  double sum = 0;
  of_place_.assign(places_.size(), 0);
  for (std::size_t g = 0; g < gradual_scales.size(); ++g) {
    for (std::size_t i = 0; i < places_.size(); ++i)
      curve[i] = 1 / (1 + std::exp((asked - places_[i]) / gradual_scales[g]));
    for (std::size_t w = 0; w < wrong_shares.size(); ++w) {
      std::vector<double>& probability = probability_[g * wrong_shares.size() + w];
      for (std::size_t i = 0; i < places_.size(); ++i) {
        const double yes = wrong_shares[w] + (1 - 2 * wrong_shares[w]) * curve[i];
        probability[i] *= *sustained ? yes : 1 - yes;
        of_place_[i] += probability[i];
        sum += probability[i];
      }
    }
  }
  for (double& one : of_place_) one /= sum;
  for (std::vector<double>& probability : probability_) {
    for (double& one : probability) one /= sum;
  }
}

}  // namespace bakeoff
