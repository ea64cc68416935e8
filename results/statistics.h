// What a handful of trials says about a figure. The trial (a fresh server) is the unit; n is 2 to 30, mostly 5.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace bakeoff {

// A figure over n trials. `median` is empty for n = 0, the interval for n < 2: nothing can be said then.
struct Figure {
  std::optional<double> median;
  std::optional<double> lower;
  std::optional<double> upper;
  std::uint32_t n = 0;

  bool operator==(const Figure&) const = default;
};

// The median; the mean of the two middle values when their number is even. `values` must not be empty.
double median(std::vector<double> values);

// The sample's median and a confidence interval of the median.
//
// With so few trials neither the bootstrap (it covers about 80 % instead of 95 % at n = 5) nor order statistics (no 95 %
// interval exists below n = 6) will do. Times and rates are positive and scatter by factors, so their logarithms are
// taken as normal: the Student t interval of the mean logarithm, taken back through exp, is then an interval of the
// median. Samples with a value that is not positive (counts of errors) get the plain t interval, cut off at 0. The
// interval is widened, where need be, to hold the sample's median.
Figure figure_of(const std::vector<double>& values, double confidence = 0.95);

// Whether two intervals leave open which of the figures is greater. True when one of them has no interval.
bool cannot_tell_apart(const Figure& a, const Figure& b);

}  // namespace bakeoff
