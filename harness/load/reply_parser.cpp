#include "harness/load/reply_parser.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/check.h"

namespace bakeoff {

namespace {

constexpr std::size_t most_head_bytes = 64 * 1024;
constexpr std::uint64_t most_body_bytes = std::uint64_t{1} << 60;  // far above any file; keeps sums from overflowing

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// `lower_name` is in lower case.
bool same(std::string_view text, std::string_view lower_name) {
  if (text.size() != lower_name.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (lower(text[i]) != lower_name[i]) return false;
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls visit for each member of a comma-separated list.
template <class Visit>
void for_each_member(std::string_view list, Visit visit) {
  for (;;) {
    const std::size_t comma = list.find(',');
    if (const auto member = trim(list.substr(0, comma)); !member.empty()) visit(member);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

bool parse_length(std::string_view text, ReplyHead& head) {
  if (text.empty()) return false;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
    if (value > most_body_bytes) return false;
  }
  if (head.has_length && head.content_bytes != value) return false;
  head.has_length = true;
  head.content_bytes = value;
  return true;
}

// "HTTP/1.x NNN reason"; the reason and the space before it may be missing.
bool parse_status_line(std::string_view line, ReplyHead& head) {
  if (line.size() < 12 || std::memcmp(line.data(), "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ')
    return false;
  // 600 to 999 mean nothing, and are a server's error like 5xx (RFC 9110, section 15).
  if (line[9] < '1' || !is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11])) return false;
  if (line.size() > 12 && line[12] != ' ') return false;
  head.status = static_cast<std::uint16_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  head.keep_alive = line[7] != '0';
  return true;
}

bool parse_field(std::string_view line, ReplyHead& head) {
  const auto* colon = static_cast<const char*>(std::memchr(line.data(), ':', line.size()));
  if (colon == nullptr || colon == line.data()) return false;
  const std::string_view name = line.substr(0, static_cast<std::size_t>(colon - line.data()));
  if (name.front() == ' ' || name.front() == '\t' || name.back() == ' ' || name.back() == '\t') return false;
  // Only three fields matter; their lengths tell most others apart without a look at their letters.
  switch (name.size()) {
    case 10:
      if (same(name, "connection")) {
        for_each_member(line.substr(name.size() + 1), [&](std::string_view member) {
          if (same(member, "close")) head.keep_alive = false;
          if (same(member, "keep-alive")) head.keep_alive = true;
        });
      }
      return true;
    case 14: return !same(name, "content-length") || parse_length(trim(line.substr(name.size() + 1)), head);
    case 17:
      if (same(name, "transfer-encoding")) {
        // Chunked has to be the last coding; without it only the end of the connection ends the body.
        for_each_member(line.substr(name.size() + 1), [&](std::string_view member) {
          head.chunked = same(member, "chunked");
          head.coded = !head.chunked;
        });
      }
      return true;
    default: return true;
  }
}

// A field whose first line is `line` and which goes on at data[at]: in one line, with a space for each end of line (RFC
// 9112, section 5.2). `at` goes behind it. Empty when its end is not there yet.
std::string unfold(std::string_view line, std::string_view data, std::size_t& at) {
  std::string whole(line);
  while (data[at] == ' ' || data[at] == '\t') {
    const std::size_t end = data.find('\n', at);
    if (end == std::string_view::npos || end + 1 == data.size()) return {};
    std::string_view more = data.substr(at, end - at);
    if (more.back() == '\r') more.remove_suffix(1);
    whole.append(" ").append(trim(more));
    at = end + 1;
  }
  return whole;
}

// Replies to one file have the same head for as long as its Date holds: what was read of the last head need not be
// read again.
struct HeadMemo {
  std::array<char, 512> text;
  std::size_t bytes = 0;
  ReplyHead head;
};
constinit thread_local HeadMemo last_head{};

// As parse_reply_head. A head ends with an empty line, so that text which begins with one contains it whole.
std::ptrdiff_t recall_or_parse(std::string_view data, ReplyHead& head) {
  HeadMemo& memo = last_head;
  if (memo.bytes != 0 && data.size() >= memo.bytes && std::memcmp(data.data(), memo.text.data(), memo.bytes) == 0) {
    head = memo.head;
    return static_cast<std::ptrdiff_t>(memo.bytes);
  }
  const std::ptrdiff_t length = parse_reply_head(data, head);
  if (length > 0 && static_cast<std::size_t>(length) <= memo.text.size()) {
    memo.bytes = static_cast<std::size_t>(length);
    memo.head = head;
    std::memcpy(memo.text.data(), data.data(), memo.bytes);
  }
  return length;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

}  // namespace

std::ptrdiff_t parse_reply_head(std::string_view data, ReplyHead& head) {
  head = {};
  std::size_t at = 0;
  bool first = true;
  for (;;) {
    const auto* newline = static_cast<const char*>(std::memchr(data.data() + at, '\n', data.size() - at));
    if (newline == nullptr) break;
    const auto end = static_cast<std::size_t>(newline - data.data());
    std::string_view line = data.substr(at, end - at);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    at = end + 1;
    if (first) {
      if (!parse_status_line(line, head)) return -1;
      first = false;
    } else if (line.empty()) {
      return at > most_head_bytes ? -1 : static_cast<std::ptrdiff_t>(at);
    } else {
      if (at == data.size()) break;  // the next line may belong to this field
      std::string whole;
      if (data[at] == ' ' || data[at] == '\t') [[unlikely]] {
        whole = unfold(line, data, at);
        if (whole.empty()) break;
        line = whole;
      }
      if (!parse_field(line, head)) return -1;
    }
    if (at == data.size()) break;
  }
  // A first line that cannot become a status line need not be waited for.
  const std::string_view start = data.substr(0, std::min<std::size_t>(data.size(), 7));
  if (first && start != std::string_view("HTTP/1.").substr(0, start.size())) return -1;
  return data.size() > most_head_bytes ? -1 : 0;
}

void ReplyParser::begin(bool to_head_request) {
  phase_ = Phase::head;
  to_head_request_ = to_head_request;
  head_bytes_ = footer_bytes_ = 0;
  partial_.reset();
}

ReplyParser::Step ReplyParser::finish(State state, std::size_t consumed, std::string_view body) {
  phase_ = Phase::done;
  return {state, consumed, body};
}

// What follows the head, by status and fields.
ReplyParser::State ReplyParser::take_head(const ReplyHead& head) {
  if (head.status == 101) return State::malformed;  // nobody asked for another protocol
  if (head.status < 200) return State::more;        // interim: the real head follows
  status_ = head.status;
  keep_alive_ = head.keep_alive;
  if (to_head_request_ || head.status == 204 || head.status == 304) return State::complete;
  if (head.chunked) {
    phase_ = Phase::chunk_size;
    remaining_bytes_ = 0;
    chunk_digits_ = chunk_extension_ = false;
  } else if (head.has_length && !head.coded) {
    if (head.content_bytes == 0) return State::complete;
    phase_ = Phase::counted;
    remaining_bytes_ = head.content_bytes;
  } else {
    phase_ = Phase::until_close;
    keep_alive_ = false;
  }
  return State::more;
}

ReplyParser::Step ReplyParser::next(std::string_view data) {
  BAKEOFF_CHECK(phase_ != Phase::done);
  std::size_t consumed = 0;
  while (phase_ == Phase::head) {
    if (consumed == data.size()) return {State::more, consumed, {}};
    if (partial_ != nullptr) {
      Step step = partial_head(data.substr(consumed));
      step.consumed += consumed;
      if (step.state != State::more || phase_ == Phase::head) return step;
      consumed = step.consumed;
      break;
    }
    ReplyHead head;
    const std::ptrdiff_t length = recall_or_parse(data.substr(consumed), head);
    if (length < 0) return finish(State::malformed, consumed);
    if (length == 0) {
      partial_ = std::make_unique<std::string>(data.substr(consumed));
      return {State::more, data.size(), {}};
    }
    consumed += static_cast<std::size_t>(length);
    head_bytes_ += static_cast<std::uint32_t>(length);
    if (const State state = take_head(head); state != State::more) return finish(state, consumed);
  }
  const std::string_view rest = data.substr(consumed);
  if (rest.empty()) return {State::more, consumed, {}};
  switch (phase_) {
    case Phase::counted: {
      const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(rest.size(), remaining_bytes_));
      remaining_bytes_ -= piece;
      if (remaining_bytes_ == 0) return finish(State::complete, consumed + piece, rest.substr(0, piece));
      return {State::more, consumed + piece, rest.substr(0, piece)};
    }
    case Phase::until_close: return {State::more, data.size(), rest};
    default: {
      Step step = chunked(rest);
      step.consumed += consumed;
      return step;
    }
  }
}

// The head began in an earlier piece: collect it until its empty line is there, then read it as a whole.
ReplyParser::Step ReplyParser::partial_head(std::string_view data) {
  const std::size_t had = partial_->size();
  const std::size_t room = most_head_bytes + 1 - std::min(had, most_head_bytes);
  partial_->append(data.substr(0, room));
  // Look for the end only where it may newly be, so that a head that drips in costs no more than its length.
  const std::size_t from = had < 3 ? 0 : had - 3;
  const bool may_end =
      partial_->find("\n\n", from) != std::string::npos || partial_->find("\n\r\n", from) != std::string::npos;
  if (!may_end) {
    if (partial_->size() > most_head_bytes) return finish(State::malformed, 0);
    return {State::more, data.size(), {}};
  }
  ReplyHead head;
  const std::ptrdiff_t length = parse_reply_head(*partial_, head);
  if (length <= 0) return finish(State::malformed, 0);
  const std::size_t consumed = static_cast<std::size_t>(length) - had;
  head_bytes_ += static_cast<std::uint32_t>(length);
  partial_.reset();
  const State state = take_head(head);
  if (state != State::more) return finish(state, consumed);
  return {state, consumed, {}};
}

ReplyParser::Step ReplyParser::chunked(std::string_view data) {
  std::size_t at = 0;
  while (at < data.size()) {
    const char c = data[at];
    switch (phase_) {
      case Phase::chunk_size:
        ++at;
        if (c == '\n') {
          if (!chunk_digits_) return finish(State::malformed, at);
          phase_ = remaining_bytes_ == 0 ? Phase::trailer : Phase::chunk_data;
          line_has_text_ = false;
        } else if (c == ';' || c == ' ' || c == '\t' || c == '\r') {
          chunk_extension_ = true;
        } else if (!chunk_extension_) {
          const int digit = hex_value(c);
          if (digit < 0) return finish(State::malformed, at);
          remaining_bytes_ = remaining_bytes_ * 16 + static_cast<std::uint64_t>(digit);
          if (remaining_bytes_ > most_body_bytes) return finish(State::malformed, at);
          chunk_digits_ = true;
        }
        break;
      case Phase::chunk_data: {
        const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(data.size() - at, remaining_bytes_));
        remaining_bytes_ -= piece;
        if (remaining_bytes_ == 0) phase_ = Phase::chunk_end;
        return {State::more, at + piece, data.substr(at, piece)};
      }
      case Phase::chunk_end:
        ++at;
        if (c == '\n') {
          phase_ = Phase::chunk_size;
          chunk_digits_ = chunk_extension_ = false;
        } else if (c != '\r') {
          return finish(State::malformed, at);
        }
        break;
      default:  // trailer
        ++at;
        ++footer_bytes_;
        if (c == '\n') {
          if (!line_has_text_) return finish(State::complete, at);
          line_has_text_ = false;
        } else if (c != '\r') {
          line_has_text_ = true;
        }
    }
  }
  return {State::more, at, {}};
}

bool ReplyParser::end_of_stream() {
  if (phase_ != Phase::until_close) return false;
  phase_ = Phase::done;
  return true;
}

ReplyParser::State ReplyParser::skipped(std::uint64_t bytes) {
  BAKEOFF_CHECK(phase_ == Phase::counted && bytes <= remaining_bytes_);
  remaining_bytes_ -= bytes;
  if (remaining_bytes_ != 0) return State::more;
  phase_ = Phase::done;
  return State::complete;
}

}  // namespace bakeoff
