// A TCP connection to a server under test, in the test's hands byte by byte. Every call ends within its time.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/clock.h"
#include "tests/support/reply.h"

namespace bakeoff::test {

class Client {
 public:
  // receive_buffer_bytes: SO_RCVBUF, set before connecting; 0 leaves it to the kernel. Throws when not connected
  // in time.
  explicit Client(int port, int receive_buffer_bytes = 0);
  ~Client();
  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;

  int fd() const { return fd_; }

  // Sends all; false when the server closed first. Throws when it takes too long. Receives meanwhile, so that neither
  // side can be stuck with both buffers full.
  bool send(std::string_view bytes);
  // As send(), a byte a segment.
  bool send_byte_by_byte(std::string_view bytes);

  // The next reply. Throws when it is malformed, late, or the connection ends without one.
  Reply read_reply(bool to_head = false, int within_ms = patience_ms);
  // As read_reply(), but nothing when the connection ends without a further byte.
  std::optional<Reply> read_reply_or_end(bool to_head = false, int within_ms = patience_ms);

  // One request with its reply: sends "METHOD TARGET HTTP/1.1", Host and the further header lines given.
  Reply get(std::string_view target, std::string_view more_headers = "");
  Reply head(std::string_view target, std::string_view more_headers = "");

  // Whether the server ends the connection (properly or by a reset) within the time, without sending anything more.
  bool ended_silently(int within_ms = patience_ms);
  // Everything until the server ends the connection. Throws when it does not.
  std::string read_to_end(int within_ms = patience_ms);
  // Whatever comes within the time; returns at the first bytes, or empty.
  std::string read_some(int within_ms);
  // Reads at most `bytes` if they are there now; how many came. For readers that take their time.
  std::size_t take_now(std::size_t bytes);

  // No more will be sent; the other direction stays.
  void end_sending();
  // Ends the connection with a reset rather than in order.
  void reset();
  void close();

  // What was received and not yet taken by a reply.
  const std::string& pending() const { return pending_; }
  bool closed_by_server() const { return closed_; }

 private:
  // Waits at most until end_ms and receives what is there; false when nothing came by then.
  bool receive(std::int64_t end_ms, std::size_t most);

  int fd_ = -1;
  std::string pending_;
  bool closed_ = false;
};

// "GET TARGET HTTP/1.1" with Host, the further header lines, and the empty line.
std::string request(std::string_view target, std::string_view more_headers = "", std::string_view method = "GET");

}  // namespace bakeoff::test
