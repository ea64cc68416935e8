// Access logs of real servers: Common Log Format and Combined Log Format, plain or compressed with gzip.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bakeoff {

struct LogEntry {
  std::int64_t time_s = 0;  // since 1970, UTC
  std::string_view method;
  std::string_view target;  // as logged, any bytes
  int status = 0;
  std::int64_t body_bytes = 0;  // "-" is 0
};

// One line without its end; empty when it is broken. The views point into the line. What follows the size (referrer, user
// agent, a server's own fields) is not looked at.
std::optional<LogEntry> parse_log_line(std::string_view line);

struct LogReading {
  std::uint64_t lines = 0;
  std::uint64_t broken = 0;
  bool truncated = false;  // the compressed data ends or breaks in the middle; what came before it was read
};

// Reads a log once, line by line, holding no more than a line of it, for as long as `take` returns true. UsageError when it cannot be opened. BLOCKS: disk.
LogReading read_access_log(const std::filesystem::path& file, const std::function<bool(const LogEntry&)>& take);

}  // namespace bakeoff
