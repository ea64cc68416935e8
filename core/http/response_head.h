// Heads of responses (RFC 9110, 9112). What depends on the file alone is built once a file; Date is built once a
// second; nothing is formatted per request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/http/request_parser.h"

namespace bakeoff {

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7).
std::string http_date(std::int64_t unix_s);

// Any of the three date forms of RFC 9110, 5.6.7; -1 when it is none of them.
std::int64_t parse_http_date(std::string_view text);

// By the name's ending; application/octet-stream for an unknown one and for none.
std::string_view mime_type(std::string_view path);

// Strong validator of size and modification time, with its quotes.
std::string entity_tag(std::uint64_t size_bytes, std::int64_t mtime_ns);

// Status line to the last header that depends on the file alone: Server, Content-Type, Content-Length, Last-Modified,
// ETag; each line with its CRLF, without the empty line that ends a head.
std::string file_head(std::string_view path, std::uint64_t size_bytes, std::int64_t mtime_ns);
// Of a synthetic reply, and differs each time as far as anybody knows.
std::string made_head(std::uint64_t size_bytes);
std::string not_modified_head(std::uint64_t size_bytes, std::int64_t mtime_ns);

// Flash pads heads to a multiple of 32 bytes, and has them begin at one, so that what the kernel copies after them is
// aligned (Pai 1999, section 5.5). The padding is white space after the Server field's value.
inline constexpr std::size_t head_alignment_bytes = 32;
void pad_head(std::string& head);

// The status that the four conditions of a GET or HEAD leave of a 200: 412 (If-Match, or else If-Unmodified-Since), 304
// (If-None-Match, or else If-Modified-Since) or 200 (RFC 9110, 13.2.2). `tag` is a strong one.
int status_by_conditions(const Request& request, std::string_view tag, std::int64_t mtime_s);

// The whole of an error response's head up to and without Date, Connection and the empty line, and its small body.
struct ErrorResponse {
  std::string head;
  std::string body;
};
ErrorResponse make_error_response(int status);

// The rest of a head: Date, Connection where it must be said, and the empty line.
class HeadEnd {
 public:
  enum class Connection : std::uint8_t { implied, keep_alive, close };
  // aligned: each form is padded to a multiple of head_alignment_bytes, and begins at one.
  explicit HeadEnd(bool aligned = false) : aligned_(aligned) {}
  // Rebuilds the three forms when unix_s differs from the last call's.
  std::string_view get(Connection connection, std::int64_t unix_s);

 private:
  struct alignas(head_alignment_bytes) Form {
    char text[3 * head_alignment_bytes];
    std::size_t bytes = 0;
  };
  bool aligned_;
  std::int64_t built_s_ = -1;
  Form forms_[3];
};

}  // namespace bakeoff
