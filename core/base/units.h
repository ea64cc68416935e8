// Durations and sizes as people write them: one grammar for command lines and for TOML. A value is a number that is not
// negative and a unit, in letters of either case, with or without a blank between them. KB, MB, GB and TB are powers of
// 1000; KiB or K, MiB or M, GiB or G, TiB or T are powers of 1024.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bakeoff {

// "80us", "300ms", "1.5s", "2m" or "2min", "1h" -> s. Empty for anything else, a number without a unit included.
std::optional<double> parse_duration_s(std::string_view text);
// "64", "64B", "64KB" (64,000), "64K" or "64KiB" (65,536), "1.5M" -> bytes. Empty for anything else, for a part of a
// byte, and above 2^62.
std::optional<std::int64_t> parse_bytes(std::string_view text);

// The same in ms, a part of one cut off, and in bytes. Throw UsageError.
std::int64_t parse_duration_ms(std::string_view text);
std::uint64_t parse_size_bytes(std::string_view text);

}  // namespace bakeoff
