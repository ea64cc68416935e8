// Requests from bytes (RFC 9112), without any I/O: tests and fuzzers feed it strings, and every architecture its
// own buffers.
//
// Own code, not Beast's basic_parser: that takes 1.0 times as long for wrk's head (57 bytes, some 50 ns), 1.25 for
// curl's and 1.5 for a browser's (744 bytes, some 350 ns), yet accepts what must be rejected (no Host or two, folded
// lines, Transfer-Encoding in HTTP/1.0 or without a last chunked, equal Content-Lengths), rejects empty lines before a
// request, does not tell a 414 or 505 from a 400, and keeps no view into a head that arrives in pieces. picohttpparser
// takes 0.57 times as long for wrk's head, 0.73 for curl's (95 bytes) and 0.87 for a browser's (699 bytes). It only
// splits lines: its caller must find fields, read their values and reject requests. llhttp 8.1 takes 1.2 times as long
// for the first two and 1.4 for a browser's (the fastest of 400 interleaved rounds).
//
// A line ends in CRLF and in nothing else. RFC 9112, 2.2 permits a lone LF too, but no client in use sends it, and a
// request can be smuggled past one of two readers who disagree about line ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bakeoff {

enum class Method : std::uint8_t { get, head };

// The views point into the bytes given to parse() and hold as long as those do.
struct Request {
  Method method = Method::get;
  std::string_view target;          // begins with '/': origin form as sent, or the path of an absolute form
  std::uint8_t minor_version = 1;   // HTTP/1.0 or HTTP/1.1
  bool keep_alive = true;           // what version and Connection ask for (RFC 9112, 9.3)
  bool chunked = false;             // the request carries a chunked body
  std::uint64_t content_bytes = 0;  // Content-Length of the request's body
  bool conditional = false;         // one of the four below is there (RFC 9110, 13.1)
  std::optional<std::string_view> if_match;
  std::optional<std::string_view> if_none_match;
  std::string_view if_modified_since;    // empty when absent, as an empty one is to be ignored
  std::string_view if_unmodified_since;  // the same
};

class RequestParser {
 public:
  static constexpr std::size_t longest_head_bytes = 8192;  // with the empty line that ends it and any before it
  static constexpr std::size_t longest_target_bytes = 2048;

  enum class Result : std::uint8_t {
    incomplete,  // more bytes are needed
    complete,    // the request is whole; consumed() bytes belong to its head
    refused,     // status() says why; the connection cannot be trusted for another request
  };

  // `bytes`: everything received since the end of the last request's head (and skipped body). After incomplete, call
  // again with the same bytes, at any address, and more behind them: parsing continues where it stopped, so a head that
  // arrives byte by byte costs O(its length). `request` is valid only after complete.
  Result parse(std::string_view bytes, Request& request);

  std::size_t consumed() const { return consumed_; }

  // After refused, an HTTP status. A malformed head is a 400, whatever else is wrong with it:
  //   400 malformed, ambiguous (RFC 9112, 3.2 and 6.3), or a target that names no file (authority or asterisk form)
  //   405 a method of RFC 9110 or 5789 other than GET and HEAD    501 any other method, or coding before a last chunked
  //   414 longer than longest_target_bytes                        431 longer than longest_head_bytes
  //   505 a major version other than 1
  int status() const { return status_; }

  // Begins with the next request, also after refused. After complete, parse() has done so itself.
  void reset();

 private:
  Result refuse(int status);

  std::size_t consumed_ = 0;
  std::size_t head_begin_ = 0;  // behind the empty lines that may precede a request
  std::size_t scanned_ = 0;     // no head ends before this
  int status_ = 0;
};

}  // namespace bakeoff
