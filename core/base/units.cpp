#include "core/base/units.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

template <std::size_t N>
std::optional<double> with_unit(std::string_view text, const Unit (&units)[N]) {
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !(value >= 0) || !std::isfinite(value)) return std::nullopt;
  std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  if (unit.size() > 1 && unit.front() == ' ') unit.remove_prefix(1);
  for (const Unit& candidate : units) {
    const bool same = std::equal(unit.begin(), unit.end(), candidate.name.begin(), candidate.name.end(),
                                 [](char a, char b) { return std::tolower(a) == std::tolower(b); });
    if (same) return value * candidate.factor;
  }
  return std::nullopt;
}

}  // namespace

std::optional<double> parse_duration_s(std::string_view text) {
  static constexpr Unit units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1},
                                   {"m", 60},    {"min", 60},  {"h", 3600}};
  return with_unit(text, units);
}

std::optional<std::int64_t> parse_bytes(std::string_view text) {
  static constexpr Unit units[] = {{"", 1},         {"B", 1},        {"K", 0x1p10},   {"M", 0x1p20},  {"G", 0x1p30},
                                   {"T", 0x1p40},   {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},    {"TB", 1e12},
                                   {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  const std::optional<double> value = with_unit(text, units);
  if (!value || *value > 0x1p62 || std::floor(*value) != *value) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

std::int64_t parse_duration_ms(std::string_view text) {
  const std::optional<double> value_s = parse_duration_s(text);
  if (!value_s || *value_s > 1e9)
    throw UsageError("\"" + std::string(text) + "\" is not a time; write it as 300ms, 15s or 2m");
  return static_cast<std::int64_t>(*value_s * 1e3 + 1e-6);  // 1.001 s is a little less in binary
}

std::uint64_t parse_size_bytes(std::string_view text) {
  const std::optional<std::int64_t> bytes = parse_bytes(text);
  if (!bytes) throw UsageError("\"" + std::string(text) + "\" is not a size; write it as 4096, 64K, 128M or 1G");
  return static_cast<std::uint64_t>(*bytes);
}

}  // namespace bakeoff
