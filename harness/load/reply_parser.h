// Reads HTTP/1.x replies from pieces of any size, and does no I/O itself. It copies only a head that arrives in parts;
// it passes body bytes on without a copy.
//
// Follows RFC 9112 sections 4 to 7: interim replies (1xx) are skipped; the status, the last transfer coding,
// Content-Length or the connection's end determine the body's end, in this order; a field may continue in lines that
// begin with white space. Malformed are: a head above 64 KiB, two Content-Lengths that differ, an invalid status line,
// a chunk size that is not a number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace bakeoff {

struct ReplyHead {
  std::uint16_t status = 0;
  bool keep_alive = true;  // by version and Connection
  bool chunked = false;
  bool coded = false;  // by another coding than chunked at last: the body ends with the connection
  bool has_length = false;
  std::uint64_t content_bytes = 0;  // with has_length
};

// The bytes of one head at the start of `data`, its empty line included; 0 when it is not complete; -1 when it
// is malformed.
std::ptrdiff_t parse_reply_head(std::string_view data, ReplyHead& head);

class ReplyParser {
 public:
  enum class State : std::uint8_t { more, complete, malformed };
  struct Step {
    State state;
    std::size_t consumed;   // of what was given; all of it unless the state is complete or malformed
                            // or a piece of body ends earlier
    std::string_view body;  // the piece of body in what was consumed; may be empty
  };

  // Call before each reply. A reply to HEAD has no body, whatever its head says.
  void begin(bool to_head_request);

  // Takes a prefix of `data`. Call again with the rest until it is used up or the reply is complete.
  // REQUIRES: begin() was called since the last complete reply.
  Step next(std::string_view data);

  // The peer closed the connection: true if that completes the reply (a body without a told length).
  bool end_of_stream();

  // Of the reply at hand, once its head was read.
  std::uint16_t status() const { return status_; }
  bool keep_alive() const { return keep_alive_; }
  bool idle() const { return phase_ == Phase::head && partial_ == nullptr; }  // no byte of the reply came yet
  std::uint32_t head_bytes() const { return head_bytes_; }                    // interim heads included
  std::uint32_t footer_bytes() const { return footer_bytes_; }                // of the trailer behind a chunked body
  // What is left of a body with a told length: that much can be discarded unseen, then call skipped().
  std::uint64_t remaining_bytes() const { return phase_ == Phase::counted ? remaining_bytes_ : 0; }
  State skipped(std::uint64_t bytes);

 private:
  enum class Phase : std::uint8_t { head, counted, until_close, chunk_size, chunk_data, chunk_end, trailer, done };

  State take_head(const ReplyHead& head);
  Step partial_head(std::string_view data);
  Step chunked(std::string_view data);
  Step finish(State state, std::size_t consumed, std::string_view body = {});

  Phase phase_ = Phase::head;
  bool to_head_request_ = false;
  bool keep_alive_ = true;
  bool chunk_digits_ = false;     // a digit of the chunk size was seen
  bool chunk_extension_ = false;  // past the digits: up to the end of line is skipped
  bool line_has_text_ = false;    // of a trailer: an empty line ends it
  std::uint16_t status_ = 0;
  std::uint32_t head_bytes_ = 0;
  std::uint32_t footer_bytes_ = 0;
  std::uint64_t remaining_bytes_ = 0;
  std::unique_ptr<std::string> partial_;  // a head that arrived in parts; else no memory is held
};

}  // namespace bakeoff
