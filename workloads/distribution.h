// A distribution of durations, sizes or counts, as workloads and load models name them in TOML:
//     think = "3s"                                                  a constant
//     think = { distribution = "pareto", least = 1.0, shape = 1.5 }
#pragma once

#include <string>

#include "core/base/random.h"
#include "core/toml/strict_toml.h"

namespace bakeoff {

class Distribution {
 public:
  enum class Kind { constant, uniform, exponential, pareto, bounded_pareto, weibull, lognormal };

  static Distribution constant(double value);
  static Distribution uniform(double least, double most);
  static Distribution exponential(double mean);
  static Distribution pareto(double least, double shape);  // mean is infinite for shape <= 1
  static Distribution bounded_pareto(double least, double most, double shape);
  static Distribution weibull(double scale, double shape);
  static Distribution lognormal(double mu, double sigma);  // of the natural logarithm

  double draw(Random& random) const;
  double mean() const;  // infinity where there is none
  Kind kind() const { return kind_; }

 private:
  Distribution(Kind kind, double a, double b, double c = 0) : kind_(kind), a_(a), b_(b), c_(c) {}
  Kind kind_;
  double a_, b_, c_;
};

// Reads `key`: a number (or a duration with a unit) for a constant, or a table with `distribution` and its parameters.
Distribution read_distribution(const TomlTable& table, std::string_view key);

}  // namespace bakeoff
