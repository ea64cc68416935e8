// Estimates a figure from few trials. The trial (a fresh server) is the unit; n is 5 to 30, mostly 12 to 20.
//
// There is one estimator: Hodges and Lehmann's (1963), the median of the means of all pairs of values, each value
// paired with itself too. Its interval inverts Wilcoxon's signed-rank test (Hollander, Wolfe, Chicken 2014, section
// 3.2), and assumes only that the noise is symmetric. It was chosen by simulation (tests/referee): if bursts of a
// neighbour slow one trial in ten, Student's t interval of the mean logarithm covers 64 to 89 %, this one 93 to 96 %;
// without bursts both are equally wide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace bakeoff {

// A figure over n trials. `median` is the Hodges-Lehmann estimate; it is empty for n = 0. The interval has 95 %
// confidence (93.8 to 97 %, since ranks are whole numbers); it is empty below n = 5, where no interval of such
// confidence exists.
struct Figure {
  std::optional<double> median;
  std::optional<double> lower;
  std::optional<double> upper;
  std::uint32_t n = 0;

  bool operator==(const Figure&) const = default;
};

// How a figure scatters from trial to trial. Times and rates scatter by factors: their logarithms are taken. Shares and
// counts scatter by amounts.
enum class Scatter { factors, amounts };

// By factors only where all values are positive. The result never lies outside of the range of `values`.
Figure figure_of(const std::vector<double>& values, Scatter scatter);

// The median; the mean of the two middle values when their number is even. `values` must not be empty.
double median(std::vector<double> values);

// The centre of values that scatter evenly around it, and limits that it lies beyond with probability `below` and
// `above` at most. A limit is empty where so few values cannot give it.
struct Location {
  double estimate = 0;
  std::optional<double> lower;
  std::optional<double> upper;
};
// `values` must not be empty.
Location location_of(const std::vector<double>& values, double below, double above);
// The shift from `from` to `to`, two samples that are not paired: the median of all differences; its limits invert
// Wilcoxon's rank-sum test. Neither may be empty.
Location shift_between(const std::vector<double>& from, const std::vector<double>& to, double below, double above);

// Wilcoxon's exact signed-rank test: the probability that differences symmetric about 0 come out this low, or lower.
// Equal differences share their mean rank; zeros are left out. 1 if none is left. Above 200 differences it uses the
// normal approximation.
double p_so_low(const std::vector<double>& differences);
// The same for low and high together.
double p_so_far(const std::vector<double>& differences);

// Holm's (1979) step-down correction: which of the hypotheses are rejected, with at most `alpha` for a single
// false one.
std::vector<bool> holm_rejects(const std::vector<double>& p_values, double alpha);

// Where a series settles: how many of its first values are to be left out, by MSER (White 1997): the cut that makes the
// standard error of the mean of what is left least. At most half of them; 0 for fewer than 4 values.
std::size_t settled_after(const std::vector<double>& series);

}  // namespace bakeoff
