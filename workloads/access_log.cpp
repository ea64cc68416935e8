#include "workloads/access_log.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <memory>

#include "core/base/errors.h"

namespace bakeoff {

namespace {

constexpr std::size_t longest_line = 1 << 20;  // a longer one is broken: no server writes it

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (!all_digits(text) || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "10/Oct/2000:13:55:36 -0700"
std::optional<std::int64_t> time_of(std::string_view text) {
  static constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 26 || text[2] != '/' || text[6] != '/' || text[11] != ':' || text[14] != ':' || text[17] != ':' || text[20] != ' ') return std::nullopt;
  const auto day = number<unsigned>(text.substr(0, 2)), hour = number<unsigned>(text.substr(12, 2)), minute = number<unsigned>(text.substr(15, 2)),
             second = number<unsigned>(text.substr(18, 2)), zone_hours = number<unsigned>(text.substr(22, 2)), zone_minutes = number<unsigned>(text.substr(24, 2));
  const auto year = number<int>(text.substr(7, 4));
  const auto month = std::find(months.begin(), months.end(), text.substr(3, 3));
  const bool zone_sign = text[21] == '+' || text[21] == '-';
  if (!day || !hour || !minute || !second || !zone_hours || !zone_minutes || !year || month == months.end() || !zone_sign) return std::nullopt;
  if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(month - months.begin()) + 1), std::chrono::day(*day)};
  if (!date.ok()) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t zone_s = (std::int64_t{*zone_hours} * 60 + *zone_minutes) * 60;
  return days * 86400 + (std::int64_t{*hour} * 60 + *minute) * 60 + *second - (text[21] == '+' ? zone_s : -zone_s);
}

// Where the quoted request ends: at a quote that a status follows, because old servers log quotes of the request as they came.
std::size_t end_of_request(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
      continue;
    }
    if (text[at] == '"' && text.size() >= at + 6 && text[at + 1] == ' ' && all_digits(text.substr(at + 2, 3)) && text[at + 5] == ' ') return at;
  }
  return std::string_view::npos;
}

}  // namespace

std::optional<LogEntry> parse_log_line(std::string_view line) {
  const std::size_t time_at = line.find(" [");
  if (time_at == std::string_view::npos || time_at == 0) return std::nullopt;
  const std::size_t time_end = line.find("] \"", time_at);
  if (time_end == std::string_view::npos) return std::nullopt;
  LogEntry entry;
  const std::optional<std::int64_t> time_s = time_of(line.substr(time_at + 2, time_end - time_at - 2));
  if (!time_s) return std::nullopt;
  entry.time_s = *time_s;

  std::string_view request = line.substr(time_end + 3);
  const std::size_t request_end = end_of_request(request);
  if (request_end == std::string_view::npos) return std::nullopt;
  std::string_view rest = request.substr(request_end + 2);
  request = request.substr(0, request_end);

  entry.status = *number<int>(rest.substr(0, 3));
  rest.remove_prefix(4);
  const std::string_view bytes = rest.substr(0, rest.find(' '));
  if (bytes != "-") {
    const std::optional<std::int64_t> body_bytes = number<std::int64_t>(bytes);
    if (!body_bytes) return std::nullopt;
    entry.body_bytes = *body_bytes;
  }

  const std::size_t method_end = request.find(' ');
  if (method_end == std::string_view::npos || method_end == 0) return std::nullopt;
  entry.method = request.substr(0, method_end);
  entry.target = request.substr(method_end + 1);
  const std::size_t protocol = entry.target.rfind(" HTTP/");  // HTTP/0.9 has none
  if (protocol != std::string_view::npos) entry.target = entry.target.substr(0, protocol);
  if (entry.target.empty()) return std::nullopt;
  return entry;
}

LogReading read_access_log(const std::filesystem::path& file, const std::function<bool(const LogEntry&)>& take) {
  errno = 0;
  std::error_code unreadable;
  if (std::filesystem::is_directory(file, unreadable)) errno = EISDIR;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(errno == 0 ? ::gzopen(file.c_str(), "rbe") : nullptr, ::gzclose);
  if (!in) throw UsageError("cannot read the log " + file.string() + ": " + std::strerror(errno != 0 ? errno : ENOMEM));
  ::gzbuffer(in.get(), 1 << 17);

  LogReading reading;
  std::string line;
  bool too_long = false;
  bool wanted = true;
  const auto end_line = [&] {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty() || too_long) {
      ++reading.lines;
      const std::optional<LogEntry> entry = too_long ? std::nullopt : parse_log_line(line);
      if (entry) {
        wanted = take(*entry);
      } else {
        ++reading.broken;
      }
    }
    line.clear();
    too_long = false;
  };

  std::array<char, 1 << 16> buffer;
  for (;;) {
    const int got = ::gzread(in.get(), buffer.data(), buffer.size());
    if (got < 0) reading.truncated = true;
    if (got <= 0) break;
    std::string_view text(buffer.data(), static_cast<std::size_t>(got));
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      const std::string_view part = text.substr(0, end);
      if (line.size() + part.size() > longest_line) too_long = true;
      if (!too_long) line += part;
      if (end == std::string_view::npos) break;
      end_line();
      if (!wanted) return reading;
      text.remove_prefix(end + 1);
    }
  }
  int error = Z_OK;
  ::gzerror(in.get(), &error);  // a file cut short is told only here
  reading.truncated |= error != Z_OK;
  end_line();
  return reading;
}

}  // namespace bakeoff
