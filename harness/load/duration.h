// Durations and counts as they are written on the command line.
#pragma once

#include <cstdint>
#include <string>

namespace bakeoff {

// "10s", "1.5s", "250ms", "80us", "2m"; a bare number means seconds. UsageError names `option` for anything else, for
// negative values, and for more than ten days.
std::int64_t parse_duration_ns(const std::string& option, const std::string& text);
// A whole number from 0.
std::int64_t parse_count(const std::string& option, const std::string& text);

}  // namespace bakeoff
