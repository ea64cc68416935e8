#include "results/figures/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bakeoff {
namespace {

// A result that was made up may hold any number. Arithmetic with greater ones would overflow, and marks between numbers
// that are nearer to each other would be one.
constexpr double greatest_number = 1e100, least_number = 1e-100, least_share = 1e-9;

Ticks linear_ticks(double low, double high, std::size_t count) {
  if (!(high - low > std::max(least_number, least_share * std::max(std::fabs(low), std::fabs(high))))) {
    if (std::fabs(low) < least_number) low = 0;
    const double room = low == 0 ? 1 : std::fabs(low) * 0.5;
    high = low + room;
    low = low - (low == 0 ? 0 : room);
  }
  const double raw = (high - low) / static_cast<double>(std::max<std::size_t>(count, 1));
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double nice : {1.0, 2.0, 2.5, 5.0}) {
    if (nice * power >= raw * 0.999) {
      step = nice * power;
      break;
    }
  }
  Ticks ticks;
  ticks.low = std::floor(low / step + 1e-9) * step;
  ticks.high = std::ceil(high / step - 1e-9) * step;
  const auto steps = static_cast<std::size_t>(std::llround((ticks.high - ticks.low) / step));
  for (std::size_t i = 0; i <= steps; ++i) ticks.marks.push_back(ticks.low + static_cast<double>(i) * step);
  return ticks;
}

// Marks at 1, 2 and 5 times powers of ten, or at powers of ten alone where these are enough.
Ticks logarithmic_ticks(double low, double high, std::size_t count) {
  if (!(low > 0)) low = high > 0 ? high / 10 : 1;
  low = std::max(low, least_number);
  if (!(high > low * 1.001)) {  // one mark could stand for both ends
    low /= 2;
    high = low * 4;
  }
  const double decades = std::log10(high / low);
  const bool coarse = decades * 3 > static_cast<double>(count) * 1.5;
  std::vector<double> all;
  for (int power = static_cast<int>(std::floor(std::log10(low))) - 1; std::pow(10, power) <= high * 10; ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (!coarse || factor == 1.0) all.push_back(factor * std::pow(10, power));
    }
  }
  Ticks ticks;
  ticks.low = low;
  ticks.high = high;
  for (const double mark : all) {
    if (mark <= low * 1.0001) ticks.low = mark;
  }
  for (auto mark = all.rbegin(); mark != all.rend(); ++mark) {
    if (*mark >= high * 0.9999) ticks.high = *mark;
  }
  // A whole decade of empty space is too much: the axis then ends with the data.
  if (low / ticks.low > 4) ticks.low = low / 1.3;
  if (ticks.high / high > 4) ticks.high = high * 1.3;
  for (const double mark : all) {
    if (mark >= ticks.low * 0.9999 && mark <= ticks.high * 1.0001) ticks.marks.push_back(mark);
  }
  std::size_t every = 1;
  while (ticks.marks.size() / every > count + 2) ++every;
  std::vector<double> some;
  for (std::size_t i = 0; i < ticks.marks.size(); i += every) some.push_back(ticks.marks[i]);
  ticks.marks = some;
  return ticks;
}

Ticks percentile_ticks(double high) {
  Ticks ticks;
  ticks.low = 1;
  ticks.high = std::max(high, 10.0);
  ticks.marks = {1, 2};
  for (double mark = 10; mark <= ticks.high * 1.0001; mark *= 10) ticks.marks.push_back(mark);
  return ticks;
}

Ticks with_ends(Ticks ticks, const ChartAxis& axis) {
  if (axis.least) ticks.low = *axis.least;
  if (axis.greatest) ticks.high = *axis.greatest;
  std::erase_if(ticks.marks, [&](double mark) {
    return mark < ticks.low - 1e-9 * std::fabs(ticks.low) || mark > ticks.high * (1 + 1e-9);
  });
  return ticks;
}

}  // namespace

std::size_t points_of(const Chart& chart) {
  std::size_t count = 0;
  for (const ChartPanel& panel : chart.panels) {
    for (const ChartSeries& series : panel.series) count += series.points.size();
  }
  return count;
}

std::string short_number(double value) {
  const double size = std::fabs(value);
  if (!std::isfinite(value)) return "–";
  if (size >= 1e10) return fmt::format("{:.3g}", value);
  if (size >= 999.5) {
    const std::string digits = fmt::format("{:.0f}", size);
    std::string grouped;
    for (std::size_t i = 0; i < digits.size(); ++i) {
      if (i > 0 && (digits.size() - i) % 3 == 0) grouped += ',';
      grouped += digits[i];
    }
    return (value < 0 ? "-" : "") + grouped;
  }
  if (size == 0) return "0";
  if (size < 0.001) return fmt::format("{:.2g}", value);
  const int decimals = size < 0.9995 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

Ticks ticks_of(ScaleKind scale, double low, double high, std::size_t count) {
  low = std::clamp(low, -greatest_number, greatest_number);
  high = std::clamp(high, -greatest_number, greatest_number);
  switch (scale) {
    case ScaleKind::linear: return linear_ticks(low, high, count);
    case ScaleKind::logarithmic: return logarithmic_ticks(low, high, count);
    case ScaleKind::percentile: return percentile_ticks(high);
  }
  return {};
}

std::string tick_text(ScaleKind scale, double mark) {
  if (scale == ScaleKind::percentile) return mark <= 1 ? "0 %" : fmt::format("{:.6g} %", 100 * (1 - 1 / mark));
  if (mark == 0) return "0";
  const double size = std::fabs(mark);
  if (size >= 1e6) return fmt::format("{:.4g}M", mark / 1e6);
  if (size >= 1e4) return fmt::format("{:.4g}k", mark / 1e3);
  return fmt::format("{:.6g}", std::fabs(mark) < 1e-12 ? 0.0 : mark);
}

Ticks value_ticks(const ChartPanel& panel, std::size_t count) {
  const bool positive = panel.value.scale != ScaleKind::linear;
  std::optional<double> low, high;
  const auto add = [&](const std::optional<double>& value) {
    if (!value || !std::isfinite(*value) || (positive && *value <= 0)) return;
    low = std::min(low.value_or(*value), *value);
    high = std::max(high.value_or(*value), *value);
  };
  for (const ChartSeries& series : panel.series) {
    for (const ChartPoint& point : series.points) {
      add(point.value);
      add(point.lower);
      add(point.upper);
    }
  }
  if (panel.value.from_zero && !positive) add(0.0);
  return with_ends(ticks_of(panel.value.scale, panel.value.least.value_or(low.value_or(positive ? 1 : 0)),
                            panel.value.greatest.value_or(high.value_or(positive ? 10 : 1)), count),
                   panel.value);
}

Ticks place_ticks(const ChartPanel& panel, std::size_t count) {
  std::vector<double> places;
  for (const ChartSeries& series : panel.series) {
    for (const ChartPoint& point : series.points) places.push_back(point.place);
  }
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  if (places.empty()) places = {1, 10};
  double low = places.front(), high = places.back();
  if (panel.place.from_zero && panel.place.scale == ScaleKind::linear) low = std::min(low, 0.0);
  Ticks ticks =
      ticks_of(panel.place.scale, panel.place.least.value_or(low), panel.place.greatest.value_or(high), count);
  // Few values that were chosen, such as numbers of connections, are the best marks.
  if (panel.place.scale != ScaleKind::percentile && !panel.place.least && !panel.place.greatest &&
      places.size() <= count + 1 && places.size() > 1) {
    bool apart = true;
    for (std::size_t i = 1; i < places.size(); ++i) {
      const double gap = panel.place.scale == ScaleKind::logarithmic
                             ? std::log(places[i] / places[i - 1]) / std::log(places.back() / places.front())
                             : (places[i] - places[i - 1]) / (places.back() - places.front());
      if (gap < 0.09) apart = false;
    }
    if (apart) {
      const double room = 0.04;
      if (panel.place.scale == ScaleKind::logarithmic) {
        const double factor = std::pow(high / low, room);
        return {low / factor, high * factor, places};
      }
      const double margin = (high - low) * room;
      return {low - (low == 0 ? 0 : margin), high + margin, places};
    }
  }
  return with_ends(ticks, panel.place);
}

}  // namespace bakeoff
