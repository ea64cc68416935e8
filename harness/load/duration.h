// Durations, sizes and counts as they are written on the command line: the grammar of specifications.
#pragma once

#include <cstdint>
#include <string>

namespace bakeoff {

// "10s", "1.5s", "250ms", "80us", "5min", "1h"; a bare number means seconds. UsageError names `option` for anything
// else, for negative values, and for more than ten days.
std::int64_t parse_duration_ns(const std::string& option, const std::string& text);
// Bytes: "65536", "64KB" (1000), "64KiB" or "64K" (1024). UsageError for anything else and for more than `most`.
std::int64_t parse_size(const std::string& option, const std::string& text, std::int64_t most);
// A whole number from 0.
std::int64_t parse_count(const std::string& option, const std::string& text);

}  // namespace bakeoff
