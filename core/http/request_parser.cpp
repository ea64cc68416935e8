#include "core/http/request_parser.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>

#include "core/base/check.h"
#include "core/http/ignore_case.h"

namespace bakeoff {
namespace {

constexpr std::string_view unsupported_methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"};

// RFC 9110, 5.6.2.
constexpr bool is_token_byte(unsigned char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte != 0 && std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(byte)) != std::string_view::npos);
}

// RFC 3986, 3.2.2: unreserved and sub-delims.
constexpr bool is_host_byte(unsigned char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte != 0 && std::string_view("-._~!$&'()*+,;=").find(static_cast<char>(byte)) != std::string_view::npos);
}

template <bool (*predicate)(unsigned char)>
constexpr std::array<bool, 256> make_table() {
  std::array<bool, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) table[byte] = predicate(static_cast<unsigned char>(byte));
  return table;
}

constexpr auto token_bytes = make_table<is_token_byte>();
constexpr auto host_bytes = make_table<is_host_byte>();

bool holds(const std::array<bool, 256>& table, char byte) { return table[static_cast<unsigned char>(byte)]; }

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

bool is_hex_digit(char byte) { return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F'); }

// The first byte below 0x20 or equal to 0x7f, eight at a time; every head is read by this once, so it sets the pace.
const char* find_control(const char* at, const char* end) {
  constexpr std::uint64_t each = 0x0101010101010101;
  constexpr std::uint64_t high_bits = each * 0x80;
  while (end - at >= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    // One more than a byte's low seven bits, modulo 128, is below 0x21 for just the bytes looked for and for the same
    // with the high bit set, which is text. No byte carries into or borrows from another.
    const std::uint64_t not_below = (((word & ~high_bits) + each) | high_bits) - each * 0x21;
    const std::uint64_t found = ~(not_below | word) & high_bits;
    if (found != 0) {
      if constexpr (std::endian::native == std::endian::little) return at + (std::countr_zero(found) >> 3);
      break;
    }
    at += 8;
  }
  while (at != end && static_cast<unsigned char>(*at) >= 0x20 && *at != 0x7f) ++at;
  return at;
}

// `lower` is in lower case. Exact for names made of token bytes: none but a letter becomes a letter or '-' by the OR.
bool is_name(const char* name, std::string_view lower) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    difference |= static_cast<unsigned>((name[i] | 0x20) ^ lower[i]);
  }
  return difference == 0;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The non-empty elements of a comma-separated list (RFC 9110, 5.6.1).
template <typename Visit>
void for_each_element(std::string_view list, Visit visit) {
  while (true) {
    const std::size_t comma = list.find(',');
    const std::string_view element = trim(list.substr(0, comma));
    if (!element.empty()) visit(element);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// uri-host [ ":" port ] (RFC 9110, 7.2). An empty host is valid in Host, which a client sends for a URI without one.
bool is_host_and_port(std::string_view text) {
  std::size_t i = 0;
  if (!text.empty() && text.front() == '[') {
    for (i = 1; i < text.size() && (holds(host_bytes, text[i]) || text[i] == ':'); ++i) {
    }
    if (i < 3 || i >= text.size() || text[i] != ']') return false;
    ++i;
  } else {
    while (i < text.size()) {
      if (holds(host_bytes, text[i])) {
        ++i;
      } else if (text[i] == '%' && text.size() - i > 2 && is_hex_digit(text[i + 1]) && is_hex_digit(text[i + 2])) {
        i += 3;
      } else {
        break;
      }
    }
  }
  if (i == text.size()) return true;
  if (text[i] != ':') return false;
  for (++i; i < text.size(); ++i) {
    if (!is_digit(text[i])) return false;
  }
  return true;
}

// Printable ASCII without the space. More than a URI may hold ('|', '^', '{' ...): browsers send those, and no two
// readers disagree about where such a target ends.
bool is_visible(std::string_view text) {
  unsigned invisible = 0;
  for (const char byte : text)
    invisible |= static_cast<unsigned>(static_cast<unsigned char>(byte) - 0x21u > 0x7eu - 0x21u);
  return invisible == 0;
}

// What is known about a request beside what Request holds.
struct Seen {
  std::string_view method;
  bool host = false;
  bool content_length = false;
  bool close = false;
  bool keep_alive = false;
  bool transfer_encoding = false;
  bool other_coding = false;    // a transfer coding besides chunked
  bool behind_chunked = false;  // a coding after chunked
  bool modified_since = false;
  bool unmodified_since = false;
};

// Each of these returns 0 or the status of an error response.

// Accepts origin form and the absolute form that every server has to accept (RFC 9112, 3.2.2).
int take_target(std::string_view target, Request& request) {
  if (target.front() == '/') {
    request.target = target;
    return 0;
  }
  const auto take_scheme = [&](std::string_view scheme) {
    if (!equals_ignoring_case(target.substr(0, scheme.size()), scheme)) return false;
    target.remove_prefix(scheme.size());
    return true;
  };
  // https too: whoever ended TLS in front of this server may leave the target as it was.
  if (!take_scheme("http://") && !take_scheme("https://")) return 400;
  const std::size_t authority_bytes = std::min(target.find_first_of("/?#"), target.size());
  const std::string_view authority = target.substr(0, authority_bytes);
  // RFC 9110, 4.2.1 and 4.2.4: no http URI without a host, none with a user name.
  if (authority.empty() || authority.front() == ':' || !is_host_and_port(authority)) return 400;
  target.remove_prefix(authority_bytes);
  request.target = !target.empty() && target.front() == '/' ? target : std::string_view("/");
  return 0;
}

// RFC 9112, 3. Just one space between the three parts: readers that take other white space for a separator see other
// requests than those that do not.
int take_request_line(std::string_view line, Request& request, Seen& seen) {
  const std::size_t method_bytes = line.find(' ');
  if (method_bytes == 0 || method_bytes == std::string_view::npos) return 400;
  seen.method = line.substr(0, method_bytes);
  for (const char byte : seen.method) {
    if (!holds(token_bytes, byte)) return 400;
  }
  line.remove_prefix(method_bytes + 1);

  const std::size_t target_bytes = line.find(' ');
  const std::string_view target = line.substr(0, target_bytes);
  if (target.size() > RequestParser::longest_target_bytes) return 414;
  if (target.empty() || target_bytes == std::string_view::npos || !is_visible(target)) return 400;
  line.remove_prefix(target_bytes + 1);

  constexpr std::string_view name = "HTTP/";
  if (line.size() != name.size() + 3 || !line.starts_with(name)) return 400;
  if (!is_digit(line[5]) || line[6] != '.' || !is_digit(line[7])) return 400;
  if (line[5] != '1') return 505;
  request.minor_version = line[7] == '0' ? 0 : 1;  // a higher one is served as the highest known (RFC 9110, 2.5)

  if (seen.method == "GET") {
    request.method = Method::get;
  } else if (seen.method == "HEAD") {
    request.method = Method::head;
  } else {
    return 0;  // refused at the head's end, as a message that is malformed besides is first of all that
  }
  return take_target(target, request);
}

int take_content_length(std::string_view value, Request& request, Seen& seen) {
  // RFC 9110, 8.6 lets equal values pass; nobody sends them but to find two readers that disagree.
  if (seen.content_length) return 400;
  seen.content_length = true;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, request.content_bytes);  // takes no sign
  return stop == end && error == std::errc() ? 0 : 400;
}

void take_connection(std::string_view value, Seen& seen) {
  for_each_element(value, [&seen](std::string_view option) {
    if (equals_ignoring_case(option, "close")) seen.close = true;
    if (equals_ignoring_case(option, "keep-alive")) seen.keep_alive = true;
  });
}

void take_transfer_encoding(std::string_view value, Request& request, Seen& seen) {
  seen.transfer_encoding = true;
  for_each_element(value, [&request, &seen](std::string_view coding) {
    if (request.chunked) seen.behind_chunked = true;
    if (equals_ignoring_case(coding, "chunked")) {
      request.chunked = true;
    } else {
      seen.other_coding = true;
    }
  });
}

int take_field(std::string_view name, std::string_view line_rest, Request& request, Seen& seen) {
  switch (name.size()) {
    case 4:
      if (is_name(name.data(), "host")) {
        // RFC 9112, 3.2: one line at most, and a valid one, whatever the version.
        if (seen.host || !is_host_and_port(trim(line_rest))) return 400;
        seen.host = true;
      }
      return 0;
    case 8:
      // A list may come on several lines, of which only the first is looked at: that can make a 200 a 412, and below a
      // 304 a 200, never the other way round.
      if (is_name(name.data(), "if-match") && !request.if_match) {
        request.if_match = trim(line_rest);
        request.conditional = true;
      }
      return 0;
    case 10:
      if (is_name(name.data(), "connection")) take_connection(line_rest, seen);
      return 0;
    case 13:
      if (is_name(name.data(), "if-none-match") && !request.if_none_match) {
        request.if_none_match = trim(line_rest);
        request.conditional = true;
      }
      return 0;
    case 14:
      if (is_name(name.data(), "content-length")) return take_content_length(trim(line_rest), request, seen);
      return 0;
    case 17:
      if (is_name(name.data(), "transfer-encoding")) {
        take_transfer_encoding(line_rest, request, seen);
      } else if (is_name(name.data(), "if-modified-since")) {
        // RFC 9110, 13.1.3: to be ignored when there is more than one.
        request.if_modified_since = seen.modified_since ? std::string_view() : trim(line_rest);
        request.conditional = seen.modified_since = true;
      }
      return 0;
    case 19:
      if (is_name(name.data(), "if-unmodified-since")) {  // the same (RFC 9110, 13.1.4)
        request.if_unmodified_since = seen.unmodified_since ? std::string_view() : trim(line_rest);
        request.conditional = seen.unmodified_since = true;
      }
      return 0;
    default: return 0;
  }
}

// What can be said only when all fields are known.
int conclude(Request& request, const Seen& seen) {
  if (request.minor_version != 0 && !seen.host) return 400;
  if (seen.transfer_encoding) {
    // RFC 9112, 6.1 and 6.3: with any of these, two readers may see the body end in two places.
    if (seen.content_length || request.minor_version == 0) return 400;
    if (!request.chunked || seen.behind_chunked) return 400;
    if (seen.other_coding) return 501;
  }
  request.keep_alive = !seen.close && (request.minor_version != 0 || seen.keep_alive);
  if (seen.method == "GET" || seen.method == "HEAD") return 0;
  for (const std::string_view method : unsupported_methods) {
    if (seen.method == method) return 405;
  }
  return 501;
}

// `head`: from the request line to the CRLF of the last line with something on it. Every control byte in it is known to
// be a tab or part of a CRLF, so a CR is a line's end.
int parse_head(std::string_view head, Request& request) {
  request = Request();
  Seen seen;
  const char* at = head.data();
  const char* const end = at + head.size();

  const char* line_end = static_cast<const char*>(std::memchr(at, '\r', head.size()));
  int status = take_request_line(std::string_view(at, static_cast<std::size_t>(line_end - at)), request, seen);
  if (status != 0) return status;

  for (at = line_end + 2; at != end; at = line_end + 2) {
    const char* const name = at;
    while (holds(token_bytes, *at)) ++at;  // stops at the line's CR at the latest
    // Refuses folded lines and white space before the colon too (RFC 9112, 5.1 and 5.2).
    if (at == name || *at != ':') return 400;
    const std::size_t name_bytes = static_cast<std::size_t>(at - name);
    ++at;
    line_end = static_cast<const char*>(std::memchr(at, '\r', static_cast<std::size_t>(end - at)));
    status = take_field(std::string_view(name, name_bytes),
                        std::string_view(at, static_cast<std::size_t>(line_end - at)), request, seen);
    if (status != 0) return status;
  }
  return conclude(request, seen);
}

}  // namespace

RequestParser::Result RequestParser::parse(std::string_view bytes, Request& request) {
  if (status_ != 0) return Result::refused;
  BAKEOFF_CHECK(scanned_ <= bytes.size());
  const char* const begin = bytes.data();
  const char* const end = begin + std::min(bytes.size(), longest_head_bytes);
  const char* at = begin + scanned_;
  while (true) {
    at = find_control(at, end);
    if (at == end || (*at == '\r' && at + 1 == end)) break;
    if (*at == '\t') {
      ++at;
      continue;
    }
    if (*at != '\r' || at[1] != '\n') return refuse(400);
    const char* const line_end = at;
    at += 2;
    if (line_end == begin + head_begin_) {
      head_begin_ += 2;  // an empty line before the request line
    } else if (line_end[-1] == '\n') {
      consumed_ = static_cast<std::size_t>(at - begin);
      const int status = parse_head(std::string_view(begin + head_begin_, line_end), request);
      if (status != 0) return refuse(status);
      head_begin_ = 0;
      scanned_ = 0;
      return Result::complete;
    }
  }
  scanned_ = static_cast<std::size_t>(at - begin);
  if (bytes.size() < longest_head_bytes) return Result::incomplete;
  // Too long: by the request line, which has statuses of its own, or by the fields.
  const std::string_view head(begin + head_begin_, end);
  Request ignored;
  Seen seen;
  const int status = take_request_line(head.substr(0, head.find('\r')), ignored, seen);
  return refuse(status != 0 ? status : 431);
}

RequestParser::Result RequestParser::refuse(int status) {
  status_ = status;
  return Result::refused;
}

void RequestParser::reset() { *this = RequestParser(); }

}  // namespace bakeoff
