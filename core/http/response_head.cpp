#include "core/http/response_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <ctime>

#include "core/base/check.h"
#include "core/http/ignore_case.h"

namespace bakeoff {
namespace {

constexpr std::string_view server_line = "Server: bakeoff\r\n";

constexpr std::array<std::string_view, 7> day_names = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> month_names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// What the form of a date can hold: the years 0000 to 9999.
constexpr std::int64_t first_date_s = -62167219200;
constexpr std::int64_t last_date_s = 253402300799;

void append_digits(std::string& text, int value, int digits) {
  const std::size_t begin = text.size();
  text.resize(begin + static_cast<std::size_t>(digits));
  for (std::size_t i = text.size(); i > begin; value /= 10) text[--i] = static_cast<char>('0' + value % 10);
}

// As short as digits and letters of one case allow: entity tags are in every head.
std::string base_36(std::uint64_t value) {
  std::array<char, 13> digits;
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value, 36).ptr};
}

int year_of(std::int64_t unix_s) {
  const std::chrono::sys_seconds time{std::chrono::seconds(unix_s)};
  return static_cast<int>(std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(time)).year());
}

// Reads a date from its front; a failed step makes all later ones fail.
class DateReader {
 public:
  explicit DateReader(std::string_view text) : rest_(text) {}

  void literal(std::string_view expected) {
    if (rest_.starts_with(expected)) {
      rest_.remove_prefix(expected.size());
    } else {
      fail();
    }
  }

  int digits(std::size_t count) {
    if (rest_.size() < count) return fail();
    int value = 0;
    for (const char byte : rest_.substr(0, count)) {
      if (byte < '0' || byte > '9') return fail();
      value = value * 10 + (byte - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }

  // asctime() pads the day with a space.
  int padded_day() {
    if (!rest_.starts_with(' ')) return digits(2);
    rest_.remove_prefix(1);
    return digits(1);
  }

  void day_name(bool whole) {
    for (const std::string_view name : day_names) {
      const std::string_view form = whole ? name : name.substr(0, 3);
      if (rest_.starts_with(form)) return literal(form);
    }
    fail();
  }

  void month() {
    const auto name = std::find(month_names.begin(), month_names.end(), rest_.substr(0, 3));
    if (name == month_names.end()) {
      fail();
      return;
    }
    rest_.remove_prefix(3);
    month_ = static_cast<unsigned>(name - month_names.begin()) + 1;
  }

  void time() {
    hour_ = digits(2);
    literal(":");
    minute_ = digits(2);
    literal(":");
    second_ = digits(2);
  }

  void set_day(int day) { day_ = day; }
  void set_year(int year) { year_ = year; }

  // -1 unless everything was read and means a time that exists and is not before 1970.
  std::int64_t unix_s() const {
    const std::chrono::year_month_day date{std::chrono::year(year_), std::chrono::month(month_),
                                           std::chrono::day(static_cast<unsigned>(day_))};
    if (failed_ || !rest_.empty() || !date.ok() || hour_ > 23 || minute_ > 59 || second_ > 60) return -1;
    const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
    return std::max<std::int64_t>(((days * 24 + hour_) * 60 + minute_) * 60 + second_, -1);
  }

 private:
  int fail() {
    failed_ = true;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  bool failed_ = false;
  int year_ = 0;
  unsigned month_ = 0;
  int day_ = 0;
  int hour_ = 0;
  int minute_ = 0;
  int second_ = 0;
};

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::int64_t parse_imf_date(std::string_view text) {
  DateReader reader(text);
  reader.day_name(false);
  reader.literal(", ");
  reader.set_day(reader.digits(2));
  reader.literal(" ");
  reader.month();
  reader.literal(" ");
  reader.set_year(reader.digits(4));
  reader.literal(" ");
  reader.time();
  reader.literal(" GMT");
  return reader.unix_s();
}

// "Sunday, 06-Nov-94 08:49:37 GMT"
std::int64_t parse_rfc850_date(std::string_view text) {
  DateReader reader(text);
  reader.day_name(true);
  reader.literal(", ");
  reader.set_day(reader.digits(2));
  reader.literal("-");
  reader.month();
  reader.literal("-");
  const int two_digits = reader.digits(2);
  reader.literal(" ");
  reader.time();
  reader.literal(" GMT");
  // The year from 49 ago to 50 ahead that ends so: RFC 9110, 5.6.7 forbids more than 50 ahead.
  const int this_year = year_of(std::time(nullptr));
  reader.set_year(this_year + (two_digits - this_year % 100 + 149) % 100 - 49);
  return reader.unix_s();
}

// "Sun Nov  6 08:49:37 1994"
std::int64_t parse_asctime_date(std::string_view text) {
  DateReader reader(text);
  reader.day_name(false);
  reader.literal(" ");
  reader.month();
  reader.literal(" ");
  reader.set_day(reader.padded_day());
  reader.literal(" ");
  reader.time();
  reader.literal(" ");
  reader.set_year(reader.digits(4));
  return reader.unix_s();
}

struct MimeType {
  std::string_view ending;  // in lower case
  std::string_view type;
};

constexpr MimeType mime_types[] = {
    {"html", "text/html"},
    {"htm", "text/html"},
    {"css", "text/css"},
    {"js", "text/javascript"},
    {"mjs", "text/javascript"},
    {"txt", "text/plain"},
    {"md", "text/markdown"},
    {"csv", "text/csv"},
    {"xml", "text/xml"},
    {"json", "application/json"},
    {"wasm", "application/wasm"},
    {"pdf", "application/pdf"},
    {"ps", "application/postscript"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
    {"tar", "application/x-tar"},
    {"gif", "image/gif"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/x-icon"},
    {"mp3", "audio/mpeg"},
    {"ogg", "audio/ogg"},
    {"wav", "audio/wav"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
    {"mpg", "video/mpeg"},
    {"mpeg", "video/mpeg"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
};

struct Status {
  int number;
  std::string_view reason;
  std::string_view explanation;
};

constexpr Status statuses[] = {
    {400, "Bad Request", "This is not an HTTP request that this server understands."},
    {403, "Forbidden", "This server may not read that file."},
    {404, "Not Found", "There is no such file."},
    {405, "Method Not Allowed", "This server answers GET and HEAD."},
    {408, "Request Timeout", "The request did not arrive in time."},
    {412, "Precondition Failed", "The file is not the one that the request asks for."},
    {413, "Content Too Large", "This server takes no content of that size."},
    {414, "URI Too Long", "The target of the request is too long."},
    {431, "Request Header Fields Too Large", "The head of the request is too long."},
    {500, "Internal Server Error", "This server could not read the file."},
    {501, "Not Implemented", "This server knows neither that method nor that transfer coding."},
    {503, "Service Unavailable", "This server has all the connections it was set up for."},
    {505, "HTTP Version Not Supported", "This server speaks HTTP/1.1 and HTTP/1.0."},
};

// RFC 9110, 8.8.3.2: the comparison that If-None-Match asks for takes no notice of W/; by the one that If-Match asks
// for a weak tag matches nothing. What is not a list of tags matches nothing.
enum class Comparison : std::uint8_t { strong, weak };
bool matches_any_tag(std::string_view list, std::string_view tag, Comparison comparison) {
  if (list == "*") return true;
  while (true) {
    const std::size_t begin = list.find_first_not_of(", \t");
    if (begin == std::string_view::npos) return false;
    list.remove_prefix(begin);
    const bool weak = list.starts_with("W/");
    if (weak) list.remove_prefix(2);
    if (!list.starts_with('"')) return false;
    const std::size_t end = list.find('"', 1);  // a tag may hold commas and spaces, no quote
    if (end == std::string_view::npos) return false;
    if (list.substr(0, end + 1) == tag && !(weak && comparison == Comparison::strong)) return true;
    list.remove_prefix(end + 1);
    const std::size_t next = list.find_first_not_of(" \t");
    if (next == std::string_view::npos || list[next] != ',') return false;
  }
}

}  // namespace

std::string http_date(std::int64_t unix_s) {
  using namespace std::chrono;
  const sys_seconds time{seconds(std::clamp(unix_s, first_date_s, last_date_s))};
  const sys_days day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};

  std::string text;
  text.reserve(29);
  text += day_names[weekday(day).c_encoding()].substr(0, 3);
  text += ", ";
  append_digits(text, static_cast<int>(static_cast<unsigned>(date.day())), 2);
  text += ' ';
  text += month_names[static_cast<unsigned>(date.month()) - 1];
  text += ' ';
  append_digits(text, static_cast<int>(date.year()), 4);
  text += ' ';
  append_digits(text, static_cast<int>(clock.hours().count()), 2);
  text += ':';
  append_digits(text, static_cast<int>(clock.minutes().count()), 2);
  text += ':';
  append_digits(text, static_cast<int>(clock.seconds().count()), 2);
  text += " GMT";
  return text;
}

std::int64_t parse_http_date(std::string_view text) {
  if (text.size() > 3 && text[3] == ',') return parse_imf_date(text);
  if (text.size() > 3 && text[3] == ' ') return parse_asctime_date(text);
  return parse_rfc850_date(text);
}

std::string_view mime_type(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  const std::size_t dot = name.rfind('.');
  if (dot != std::string_view::npos) {
    const std::string_view ending = name.substr(dot + 1);
    for (const MimeType& known : mime_types) {
      if (equals_ignoring_case(ending, known.ending)) return known.type;
    }
  }
  return "application/octet-stream";
}

std::string entity_tag(std::uint64_t size_bytes, std::int64_t mtime_ns) {
  return '"' + base_36(static_cast<std::uint64_t>(mtime_ns)) + '-' + base_36(size_bytes) + '"';
}

std::string file_head(std::string_view path, std::uint64_t size_bytes, std::int64_t mtime_ns) {
  using namespace std::chrono;
  const std::int64_t mtime_s = floor<seconds>(nanoseconds(mtime_ns)).count();
  // RFC 9110, 8.8.2.1: never later than Date. Not by time(), which lags by up to a tick: a file written in that tick
  // would be older in its head than in the answer to If-Modified-Since.
  const std::int64_t now_s = floor<seconds>(system_clock::now()).time_since_epoch().count();
  const std::int64_t last_modified_s = std::min(mtime_s, now_s);
  std::string head = "HTTP/1.1 200 OK\r\n";
  head += server_line;
  head += "Content-Type: ";
  head += mime_type(path);
  head += "\r\nContent-Length: ";
  head += std::to_string(size_bytes);
  head += "\r\nLast-Modified: ";
  head += http_date(last_modified_s);
  head += "\r\nETag: ";
  head += entity_tag(size_bytes, mtime_ns);
  head += "\r\n";
  return head;
}

std::string made_head(std::uint64_t size_bytes) {
  std::string head = "HTTP/1.1 200 OK\r\n";
  head += server_line;
  head += "Content-Type: application/octet-stream\r\nCache-Control: no-store\r\nContent-Length: ";
  head += std::to_string(size_bytes);
  head += "\r\n";
  return head;
}

// With an ETag, a 304 needs none of the other fields that describe the file (RFC 9110, 15.4.5).
std::string not_modified_head(std::uint64_t size_bytes, std::int64_t mtime_ns) {
  std::string head = "HTTP/1.1 304 Not Modified\r\n";
  head += server_line;
  head += "ETag: ";
  head += entity_tag(size_bytes, mtime_ns);
  head += "\r\n";
  return head;
}

void pad_head(std::string& head) {
  const std::size_t missing = (head_alignment_bytes - head.size() % head_alignment_bytes) % head_alignment_bytes;
  if (missing == 0) return;
  const std::size_t line = head.find(server_line);
  BAKEOFF_CHECK(line != std::string::npos);
  head.insert(line + server_line.size() - 2, missing, ' ');
}

int status_by_conditions(const Request& request, std::string_view tag, std::int64_t mtime_s) {
  if (request.if_match) {
    if (!matches_any_tag(*request.if_match, tag, Comparison::strong)) return 412;
  } else if (!request.if_unmodified_since.empty()) {
    const std::int64_t since_s = parse_http_date(request.if_unmodified_since);
    if (since_s >= 0 && mtime_s > since_s) return 412;
  }
  if (request.if_none_match) return matches_any_tag(*request.if_none_match, tag, Comparison::weak) ? 304 : 200;
  if (request.if_modified_since.empty()) return 200;
  const std::int64_t since_s = parse_http_date(request.if_modified_since);
  return since_s >= 0 && mtime_s <= since_s ? 304 : 200;
}

ErrorResponse make_error_response(int status) {
  const Status* const known = std::find_if(std::begin(statuses), std::end(statuses),
                                           [status](const Status& entry) { return entry.number == status; });
  BAKEOFF_CHECK(known != std::end(statuses));
  ErrorResponse error_response;
  error_response.body = std::to_string(status);
  error_response.body += ' ';
  error_response.body += known->reason;
  error_response.body += ". ";
  error_response.body += known->explanation;
  error_response.body += '\n';
  error_response.head = "HTTP/1.1 " + std::to_string(status) + ' ';
  error_response.head += known->reason;
  error_response.head += "\r\n";
  error_response.head += server_line;
  if (status == 405) error_response.head += "Allow: GET, HEAD\r\n";
  if (status == 503) error_response.head += "Retry-After: 1\r\n";  // overload passes soon
  error_response.head +=
      "Content-Type: text/plain\r\nContent-Length: " + std::to_string(error_response.body.size()) + "\r\n";
  return error_response;
}

std::string_view HeadEnd::get(Connection connection, std::int64_t unix_s) {
  if (unix_s != built_s_ || forms_[0].bytes == 0) [[unlikely]] {
    const std::string date = "Date: " + http_date(unix_s);
    const auto build = [&](Connection form_of, std::string_view rest) {
      Form& form = forms_[static_cast<std::size_t>(form_of)];
      std::string text = date;
      const std::size_t over = (date.size() + rest.size()) % head_alignment_bytes;
      if (aligned_ && over != 0) text.append(head_alignment_bytes - over, ' ');  // white space after the date
      text += rest;
      BAKEOFF_CHECK(text.size() <= sizeof form.text);
      form.bytes = text.copy(form.text, sizeof form.text);
    };
    build(Connection::implied, "\r\n\r\n");
    build(Connection::keep_alive, "\r\nConnection: keep-alive\r\n\r\n");
    build(Connection::close, "\r\nConnection: close\r\n\r\n");
    built_s_ = unix_s;  // last: where memory runs out, the next call builds them
  }
  const Form& form = forms_[static_cast<std::size_t>(connection)];
  return {form.text, form.bytes};
}

}  // namespace bakeoff
