#include "harness/load/duration.h"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "core/base/errors.h"

namespace bakeoff {

std::int64_t parse_duration_ns(const std::string& option, const std::string& text) {
  static constexpr std::array<std::pair<std::string_view, double>, 6> units = {
      {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"m", 60e9}}};
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(stop, static_cast<std::size_t>(text.data() + text.size() - stop));
  if (error == std::errc{} && value >= 0 && value <= 864'000)
    for (const auto& [name, ns] : units)
      if (name == unit) return static_cast<std::int64_t>(value * ns);
  throw UsageError(option + " " + text + ": expected a duration such as 10s, 250ms or 80us");
}

std::int64_t parse_count(const std::string& option, const std::string& text) {
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size() || value < 0) throw UsageError(option + " " + text + ": expected a whole number");
  return value;
}

}  // namespace bakeoff
