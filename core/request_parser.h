// Requests from bytes (RFC 9112), without any I/O: it can be tested and fuzzed from a string, and every architecture
// feeds it from its own place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bakeoff {

enum class Method : std::uint8_t { get, head };

// The views point into the bytes given to parse() and hold as long as those do.
struct Request {
  Method method = Method::get;
  std::string_view target;             // as sent, never empty: origin form, or the path part of an absolute form
  std::uint8_t minor_version = 1;      // HTTP/1.0 or HTTP/1.1
  bool keep_alive = true;              // what version and Connection ask for (RFC 9112, 9.3)
  bool chunked = false;                // the request carries a chunked body
  std::uint64_t content_bytes = 0;     // Content-Length of the request's body
  std::string_view if_none_match;      // empty when absent
  std::string_view if_modified_since;  // empty when absent
};

class RequestParser {
 public:
  static constexpr std::size_t longest_head_bytes = 8192;
  static constexpr std::size_t longest_target_bytes = 2048;

  enum class Result : std::uint8_t {
    incomplete,  // more bytes are needed
    complete,    // request() is whole; consumed() bytes belong to its head
    refused,     // status() says why; the connection cannot be trusted for another request
  };

  // `bytes`: everything received since the end of the last request's head (and skipped body). When it returned
  // incomplete, call again with the same bytes, perhaps at another address, and more behind them: it goes on where it
  // left off and does not look twice at what it has seen, so a head that arrives byte by byte costs O(its length).
  Result parse(std::string_view bytes, Request& request);

  std::size_t consumed() const { return consumed_; }

  // 400, 405, 414, 431, 501, 505 (an HTTP status) after refused.
  int status() const { return status_; }

  // Begins with the next request.
  void reset();

 private:
  Result refuse(int status);

  std::size_t consumed_ = 0;
  std::size_t head_begin_ = 0;  // behind the empty lines that may precede a request
  std::size_t scanned_ = 0;     // no head ends before this
  int status_ = 0;
};

}  // namespace bakeoff
