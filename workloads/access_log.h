// Access logs of real servers: Common Log Format and Combined Log Format, and lines of JSON as Caddy writes them and
// nginx with `escape=json`; plain or compressed with gzip, bzip2 or xz.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bakeoff {

struct LogEntry {
  double time_s = 0;  // since 1970, UTC; whole seconds but in JSON
  std::string method;
  std::string target;  // as logged, any bytes
  int status = 0;
  std::int64_t body_bytes = 0;  // "-" is 0
};

// One line without its end; empty when it is broken. In formats other than JSON, what follows the size (referrer, user
// agent, a server's own fields) is ignored. In JSON the fields' names are:
//     time    ts, msec, time_iso8601, time_local, @timestamp, timestamp or time: seconds (or ms, us, ns, by their
//             size), ISO 8601 or Common Log Format
//     request request, a line or an object of method and uri; or request_method or method, and request_uri or uri
//     status  status
//     size    size, body_bytes_sent, bytes_sent or bytes
std::optional<LogEntry> parse_log_line(std::string_view line);

struct LogReading {
  std::uint64_t lines = 0;
  std::uint64_t broken = 0;
  bool truncated = false;  // the compressed data ends or breaks in the middle; what came before it was read
};

// Reads a log once, line by line, keeping only one line, while `take` returns true. It may be a file or a pipe.
// UsageError when it cannot be opened, and when the first 64 MiB hold no line of an access log. BLOCKS: disk.
LogReading read_access_log(const std::filesystem::path& file, const std::function<bool(const LogEntry&)>& take);

}  // namespace bakeoff
