#include "workloads/access_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "workloads/decompressed.h"

namespace bakeoff {

namespace {

constexpr std::size_t longest_line = 1 << 20;  // a longer one is broken: no server writes it
// Without a line of a log in these, it is not a log, and may have no end.
constexpr std::uint64_t most_bytes_of_nothing = std::uint64_t{64} << 20;

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

// Seconds from 1970 to a moment of a day. zone: "+0200", "+02:00", "Z".
std::optional<std::int64_t> seconds_since_1970(int year, unsigned month, unsigned day, std::string_view clock,
                                               std::string_view zone) {
  const auto hour = number<unsigned>(clock.substr(0, 2)), minute = number<unsigned>(clock.substr(3, 2)),
             second = number<unsigned>(clock.substr(6, 2));
  if (clock[2] != ':' || clock[5] != ':' || !hour || !minute || !second) return std::nullopt;
  if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  std::int64_t zone_s = 0;
  if (zone != "Z") {
    if (zone.size() == 6 && zone[3] != ':') return std::nullopt;
    if ((zone.size() != 5 && zone.size() != 6) || (zone[0] != '+' && zone[0] != '-')) return std::nullopt;
    const auto hours = number<unsigned>(zone.substr(1, 2)), minutes = number<unsigned>(zone.substr(zone.size() - 2));
    if (!hours || !minutes) return std::nullopt;
    zone_s = (std::int64_t{*hours} * 60 + *minutes) * 60 * (zone[0] == '+' ? 1 : -1);
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return days * 86400 + (std::int64_t{*hour} * 60 + *minute) * 60 + *second - zone_s;
}

// "10/Oct/2000:13:55:36 -0700"
std::optional<std::int64_t> common_log_time(std::string_view text) {
  static constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 26 || text[2] != '/' || text[6] != '/' || text[11] != ':' || text[20] != ' ') return std::nullopt;
  const auto day = number<unsigned>(text.substr(0, 2));
  const auto year = number<int>(text.substr(7, 4));
  const auto month = std::find(months.begin(), months.end(), text.substr(3, 3));
  if (!day || !year || month == months.end()) return std::nullopt;
  return seconds_since_1970(*year, static_cast<unsigned>(month - months.begin()) + 1, *day, text.substr(12, 8),
                            text.substr(21));
}

// "2000-10-10T13:55:36.123-07:00"; the fraction may be missing, and a space may stand for the T.
std::optional<double> iso_time(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != ' ')) return std::nullopt;
  const auto year = number<int>(text.substr(0, 4));
  const auto month = number<unsigned>(text.substr(5, 2)), day = number<unsigned>(text.substr(8, 2));
  if (!year || !month || !day) return std::nullopt;
  std::string_view zone = text.substr(19);
  double fraction = 0;
  if (zone.front() == '.') {
    const auto [end, error] =
        std::from_chars(zone.data(), zone.data() + zone.size(), fraction, std::chars_format::fixed);
    if (error != std::errc()) return std::nullopt;
    zone.remove_prefix(static_cast<std::size_t>(end - zone.data()));
  }
  const auto whole = seconds_since_1970(*year, *month, *day, text.substr(11, 8), zone);
  if (!whole) return std::nullopt;
  return static_cast<double>(*whole) + fraction;
}

// Seconds since 1970 out of a number that may count thousandths, millionths or billionths of them: any of these
// readings of a number gives years that lie far apart.
double in_seconds(double value) {
  for (const double unit : {1e9, 1e6, 1e3})
    if (value > 1e8 * unit) return value / unit;
  return value;
}

// Where the quoted request ends: at a quote that a status follows, because old servers log quotes of the request as
// they came.
std::size_t end_of_request(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
      continue;
    }
    if (text[at] == '"' && text.size() >= at + 6 && text[at + 1] == ' ' && all_digits(text.substr(at + 2, 3)) &&
        text[at + 5] == ' ')
      return at;
  }
  return std::string_view::npos;
}

// "GET /a HTTP/1.1"
bool read_request(std::string_view request, LogEntry& entry) {
  const std::size_t method_end = request.find(' ');
  if (method_end == std::string_view::npos || method_end == 0) return false;
  entry.method = request.substr(0, method_end);
  request.remove_prefix(method_end + 1);
  entry.target = request.substr(0, request.rfind(" HTTP/"));  // HTTP/0.9 has none
  return !entry.target.empty();
}

using Json = nlohmann::json;

const Json* first_of(const Json& object, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const auto found = object.find(name); found != object.end()) return &*found;
  return nullptr;
}

std::optional<double> number_of(const Json* value) {
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return value->get<double>();
  if (!value->is_string()) return std::nullopt;
  const std::string& text = value->get_ref<const std::string&>();
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string latin1_as_utf8(std::string_view text) {
  std::string utf8;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8 += c;
    } else {
      utf8 += static_cast<char>(0xc0 | (byte >> 6));
      utf8 += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return utf8;
}

std::optional<LogEntry> parse_json_line(std::string_view line) {
  Json json = Json::parse(line, nullptr, false);
  // nginx writes the bytes of a name as they came; any will do, as long as different names stay different.
  if (json.is_discarded()) json = Json::parse(latin1_as_utf8(line), nullptr, false);
  if (!json.is_object()) return std::nullopt;
  LogEntry entry;
  const Json* time = first_of(json, {"ts", "msec", "time_iso8601", "time_local", "@timestamp", "timestamp", "time"});
  if (time == nullptr) return std::nullopt;
  if (const auto number = number_of(time)) {
    entry.time_s = in_seconds(*number);
  } else if (time->is_string()) {
    const std::string& text = time->get_ref<const std::string&>();
    const auto common = common_log_time(text);
    const auto iso = common ? static_cast<double>(*common) : iso_time(text);
    if (!iso) return std::nullopt;
    entry.time_s = *iso;
  }
  if (!(entry.time_s >= 0 && entry.time_s < 1e11)) return std::nullopt;

  const Json* request = first_of(json, {"request"});
  if (request != nullptr && request->is_string()) {
    if (!read_request(request->get_ref<const std::string&>(), entry)) return std::nullopt;
  } else {
    const Json& parts = request != nullptr && request->is_object() ? *request : json;
    const Json *method = first_of(parts, {"request_method", "method"}), *uri = first_of(parts, {"request_uri", "uri"});
    if (method == nullptr || uri == nullptr || !method->is_string() || !uri->is_string()) return std::nullopt;
    entry.method = method->get<std::string>();
    entry.target = uri->get<std::string>();
    if (entry.method.empty() || entry.target.empty()) return std::nullopt;
  }

  const auto status = number_of(first_of(json, {"status"}));
  const Json* size = first_of(json, {"size", "body_bytes_sent", "bytes_sent", "bytes"});
  const auto bytes = size != nullptr && *size == "-" ? 0 : number_of(size);
  if (!status || !(*status >= 100 && *status <= 999) || !bytes || !(*bytes >= 0 && *bytes < 0x1p62))
    return std::nullopt;
  entry.status = static_cast<int>(*status);
  entry.body_bytes = static_cast<std::int64_t>(*bytes);
  return entry;
}

}  // namespace

std::optional<LogEntry> parse_log_line(std::string_view line) {
  if (line.starts_with('{')) return parse_json_line(line);
  const std::size_t time_at = line.find(" [");
  if (time_at == std::string_view::npos || time_at == 0) return std::nullopt;
  const std::size_t time_end = line.find("] \"", time_at);
  if (time_end == std::string_view::npos) return std::nullopt;
  LogEntry entry;
  const std::optional<std::int64_t> time_s = common_log_time(line.substr(time_at + 2, time_end - time_at - 2));
  if (!time_s) return std::nullopt;
  entry.time_s = static_cast<double>(*time_s);

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

  if (!read_request(request, entry)) return std::nullopt;
  return entry;
}

LogReading read_access_log(const std::filesystem::path& file, const std::function<bool(const LogEntry&)>& take) {
  DecompressedFile in(file);
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

  std::uint64_t read_bytes = 0;
  std::array<char, 1 << 16> buffer;
  for (std::size_t got = in.read(buffer); got != 0; got = in.read(buffer)) {
    std::string_view text(buffer.data(), got);
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
    read_bytes += got;
    if (read_bytes > most_bytes_of_nothing && reading.lines == reading.broken)
      throw UsageError("cannot read the log " + file.string() + ": its first 64 MiB hold no line of an access log");
  }
  reading.truncated = in.cut_short();
  end_line();
  return reading;
}

}  // namespace bakeoff
