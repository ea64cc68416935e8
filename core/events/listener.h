// The listening socket. What the kernel would choose silently for a connection is set here once, and inherited by every
// connection of every architecture: congestion control, send buffer, TCP_NODELAY, deferred accept, time-outs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"

namespace bakeoff {

class Listener {
 public:
  // Throws StartError, UsageError.
  explicit Listener(const Options& options);
  ~Listener();
  Listener(Listener&& other) noexcept;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  enum class Outcome : std::uint8_t {
    accepted,
    none,       // nobody is waiting (any more)
    exhausted,  // descriptors or memory ran out: nothing can be accepted until a connection ends
  };
  struct Accepted {
    Outcome outcome;
    int fd;
  };
  // BLOCKS: network, when options.waits_in_calls: until a client comes (none: a signal or the socket's time-out, for
  // the caller to look around). Else never waits.
  Accepted accept() const;

  int fd() const { return fd_; }
  std::uint16_t port() const { return port_; }

  // One for all workers; or with options.reuseport one for each, at the same port: the kernel then chooses among the
  // sockets by the client's address, and what waits at one is nobody else's. Throws StartError, UsageError.
  static std::vector<Listener> open_all(const Options& options);

 private:
  int fd_ = -1;
  int accept_flags_;
  std::uint16_t port_ = 0;
};

}  // namespace bakeoff
