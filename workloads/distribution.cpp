#include "workloads/distribution.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "core/base/check.h"

namespace bakeoff {

Distribution Distribution::constant(double value) { return {Kind::constant, value, 0}; }
Distribution Distribution::uniform(double least, double most) { return {Kind::uniform, least, most}; }
Distribution Distribution::exponential(double mean) { return {Kind::exponential, mean, 0}; }
Distribution Distribution::pareto(double least, double shape) { return {Kind::pareto, least, shape}; }
Distribution Distribution::bounded_pareto(double least, double most, double shape) {
  return {Kind::bounded_pareto, least, most, shape};
}
Distribution Distribution::weibull(double scale, double shape) { return {Kind::weibull, scale, shape}; }
Distribution Distribution::lognormal(double mu, double sigma) { return {Kind::lognormal, mu, sigma}; }

double Distribution::draw(Random& random) const {
  switch (kind_) {
    case Kind::constant: return a_;
    case Kind::uniform: return a_ + (b_ - a_) * random.unit();
    case Kind::exponential: return -a_ * std::log(random.positive_unit());
    case Kind::pareto: return a_ * std::pow(random.positive_unit(), -1 / b_);
    case Kind::bounded_pareto: {
      const double cut = 1 - std::pow(a_ / b_, c_);  // the share of the unbounded distribution that is kept
      return a_ * std::pow(1 - random.unit() * cut, -1 / c_);
    }
    case Kind::weibull: return a_ * std::pow(-std::log(random.positive_unit()), 1 / b_);
    case Kind::lognormal: {
      const double radius = std::sqrt(-2 * std::log(random.positive_unit()));  // Box and Muller, one of the pair
      return std::exp(a_ + b_ * radius * std::cos(2 * std::numbers::pi * random.unit()));
    }
  }
  BAKEOFF_CHECK(!"a distribution without a kind");
  return 0;
}

double Distribution::mean() const {
  switch (kind_) {
    case Kind::constant: return a_;
    case Kind::uniform: return (a_ + b_) / 2;
    case Kind::exponential: return a_;
    case Kind::pareto: return b_ > 1 ? a_ * b_ / (b_ - 1) : std::numeric_limits<double>::infinity();
    case Kind::bounded_pareto: {
      const double cut = 1 - std::pow(a_ / b_, c_);
      if (c_ == 1) return a_ * std::log(b_ / a_) / cut;
      return std::pow(a_, c_) * c_ / (c_ - 1) * (std::pow(a_, 1 - c_) - std::pow(b_, 1 - c_)) / cut;
    }
    case Kind::weibull: return a_ * std::tgamma(1 + 1 / b_);
    case Kind::lognormal: return std::exp(a_ + b_ * b_ / 2);
  }
  BAKEOFF_CHECK(!"a distribution without a kind");
  return 0;
}

Distribution read_distribution(const TomlTable& table, std::string_view key) {
  const NumberRange any{0, 1e15};
  const NumberRange positive{1e-9, 1e15};
  if (!table.is_table(key)) return Distribution::constant(table.duration_s(key, any));
  const TomlTable parameters = *table.table(key);
  const std::string kind = parameters.one_of(
      "distribution", {"constant", "uniform", "exponential", "pareto", "bounded-pareto", "weibull", "lognormal"});
  const auto read = [&](const char* name) { return parameters.number(name, positive); };
  if (kind == "constant") return Distribution::constant(parameters.duration_s("value", any));
  if (kind == "exponential") return Distribution::exponential(read("mean"));
  if (kind == "pareto") return Distribution::pareto(read("least"), read("shape"));
  if (kind == "weibull") return Distribution::weibull(read("scale"), read("shape"));
  if (kind == "lognormal") {
    const NumberRange exponent{-100, 100};
    return Distribution::lognormal(parameters.number("mu", exponent), parameters.number("sigma", {0, 100}));
  }
  const double least = kind == "uniform" ? parameters.number("least", any) : read("least");
  const double most = read("most");
  if (most <= least) parameters.fail("most", "expected more than `least`");
  return kind == "uniform" ? Distribution::uniform(least, most)
                           : Distribution::bounded_pareto(least, most, read("shape"));
}

}  // namespace bakeoff
