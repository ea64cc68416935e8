#include "harness/load/duration.h"

#include <charconv>

#include "core/base/errors.h"
#include "core/base/units.h"

namespace bakeoff {

std::int64_t parse_duration_ns(const std::string& option, const std::string& text) {
  constexpr double most_s = 864'000;
  std::optional<double> value_s = parse_duration_s(text);
  if (!value_s) value_s = parse_duration_s(text + "s");
  if (value_s && *value_s <= most_s) return static_cast<std::int64_t>(*value_s * 1e9);
  throw UsageError(option + " " + text + ": expected a duration such as 10s, 250ms or 5min, at most ten days");
}

std::int64_t parse_size(const std::string& option, const std::string& text, std::int64_t most) {
  const std::optional<std::int64_t> bytes = parse_bytes(text);
  if (bytes && *bytes <= most) return *bytes;
  throw UsageError(option + " " + text + ": expected a size such as 4096, 64KB (1000) or 64KiB (1024), at most " +
                   std::to_string(most));
}

std::int64_t parse_count(const std::string& option, const std::string& text) {
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size() || value < 0)
    throw UsageError(option + " " + text + ": expected a whole number");
  return value;
}

}  // namespace bakeoff
