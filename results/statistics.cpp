#include "results/statistics.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "core/base/check.h"

namespace bakeoff {

double median(std::vector<double> values) {
  BAKEOFF_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Figure figure_of(const std::vector<double>& values, double confidence) {
  Figure figure;
  figure.n = static_cast<std::uint32_t>(values.size());
  if (values.empty()) return figure;
  figure.median = median(values);
  if (values.size() < 2) return figure;

  const bool by_factors = std::all_of(values.begin(), values.end(), [](double value) { return value > 0; });
  const double n = static_cast<double>(values.size());
  double mean = 0;
  for (const double value : values) mean += (by_factors ? std::log(value) : value) / n;
  double squares = 0;
  for (const double value : values) {
    const double distance = (by_factors ? std::log(value) : value) - mean;
    squares += distance * distance;
  }
  const boost::math::students_t distribution(n - 1);
  const double half = boost::math::quantile(distribution, 1 - (1 - confidence) / 2) * std::sqrt(squares / (n - 1) / n);
  const double lower = by_factors ? std::exp(mean - half) : std::max(0.0, mean - half);
  const double upper = by_factors ? std::exp(mean + half) : mean + half;
  figure.lower = std::min(lower, *figure.median);
  figure.upper = std::max(upper, *figure.median);
  return figure;
}

bool cannot_tell_apart(const Figure& a, const Figure& b) {
  if (!a.lower || !a.upper || !b.lower || !b.upper) return true;
  return *a.lower <= *b.upper && *b.lower <= *a.upper;
}

}  // namespace bakeoff
