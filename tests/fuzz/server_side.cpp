#include "tests/fuzz/server_side.h"

#include <algorithm>
#include <optional>
#include <string>

#include "core/http/request_parser.h"
#include "core/http/response_head.h"
#include "core/http/target.h"
#include "tests/fuzz/properties.h"

namespace bakeoff::fuzz {
namespace {

struct ReadRequest {
  RequestParser::Result result = RequestParser::Result::incomplete;
  int status = 0;
  std::size_t consumed = 0;
  Method method = Method::get;
  std::string target;
  bool keep_alive = false, chunked = false;
  std::uint64_t content_bytes = 0;
  // The bytes that they are read from may have moved on.
  std::optional<std::string> if_match, if_none_match;
  std::string if_modified_since, if_unmodified_since;
  bool operator==(const ReadRequest&) const = default;
};

ReadRequest read_request(RequestParser& parser, std::string_view bytes) {
  const Block block(bytes);
  Request request;
  ReadRequest read;
  read.result = parser.parse(block.view(), request);
  if (read.result == RequestParser::Result::refused) read.status = parser.status();
  if (read.result != RequestParser::Result::complete) return read;
  read.consumed = parser.consumed();
  read.method = request.method;
  read.target = request.target;
  read.keep_alive = request.keep_alive;
  read.chunked = request.chunked;
  read.content_bytes = request.content_bytes;
  if (request.if_match) read.if_match.emplace(*request.if_match);
  if (request.if_none_match) read.if_none_match.emplace(*request.if_none_match);
  read.if_modified_since = request.if_modified_since;
  read.if_unmodified_since = request.if_unmodified_since;
  return read;
}

}  // namespace

void request(std::string_view bytes) {
  RequestParser whole;
  const ReadRequest at_once = read_request(whole, bytes);
  if (at_once.result == RequestParser::Result::complete) {
    must(at_once.consumed <= bytes.size() && at_once.consumed > 0, "a request consumes what there is");
    must(at_once.target.starts_with('/'), "a target begins with a slash");
    must(!(at_once.chunked && at_once.content_bytes != 0), "a request is framed in one way");
    RequestParser again;
    must(read_request(again, bytes.substr(0, at_once.consumed)) == at_once, "what follows a head does not change it");
  }
  // In pieces the same is read. The first byte says where the cuts are.
  RequestParser pieces;
  const std::size_t step = bytes.empty() ? 1 : 1 + static_cast<unsigned char>(bytes[0]) % 7;
  for (std::size_t end = 0;; end += step) {
    const ReadRequest part = read_request(pieces, bytes.substr(0, end));
    if (part.result != RequestParser::Result::incomplete || end >= bytes.size()) {
      must(part == at_once, "a request in pieces is the request at once");
      return;
    }
  }
}

void target(std::string_view bytes) {
  const Block block(bytes);
  const auto name = normalise_target(block.view());
  if (is_plain(block.view())) must(name && *name == bytes, "a plain target is its own normal form");
  if (!name) return;
  must(name->starts_with('/'), "a name begins with a slash");
  must(name->find('\0') == std::string::npos, "a name holds no NUL");
  must(("/" + *name + "/").find("/../") == std::string::npos, "a name does not climb");
  must(name->find("//") == std::string::npos, "a name has no empty segment");
}

// A line each for If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since; the first two are absent where
// the line is "-".
void conditional(std::string_view bytes) {
  const Block block(bytes);
  std::string_view left = block.view();
  const auto line = [&left] {
    const std::string_view text = left.substr(0, left.find('\n'));
    left.remove_prefix(std::min(left.size(), text.size() + 1));
    return text;
  };
  constexpr std::int64_t mtime_s = 784111777;
  const std::string tag = entity_tag(12, mtime_s * 1'000'000'000);
  Request request;
  if (const auto match = line(); match != "-") request.if_match = match;
  if (const auto match = line(); match != "-") request.if_none_match = match;
  request.if_modified_since = line();
  request.if_unmodified_since = line();
  const int status = status_by_conditions(request, tag, mtime_s);
  must(status == 200 || status == 304 || status == 412, "a condition has one of three outcomes");
  if (request.if_match && (*request.if_match == "*" || *request.if_match == tag))
    must(status != 412, "what matches meets its condition, and If-Unmodified-Since is not asked");
  if (!request.if_match && request.if_unmodified_since.empty() && request.if_none_match &&
      (*request.if_none_match == "*" || *request.if_none_match == tag))
    must(status == 304, "what matches is not modified");
  const std::int64_t date = parse_http_date(request.if_modified_since);
  if (date >= 0) must(parse_http_date(http_date(date)) == date, "a date that was read is written as itself");
}

}  // namespace bakeoff::fuzz
