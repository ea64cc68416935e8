// The listening socket. What the kernel would choose silently for a connection is set here once, and inherited by every
// connection of every architecture: congestion control, send buffer, TCP_NODELAY, deferred accept, time-outs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bakeoff {

class Listener {
 public:
  struct Settings {
    std::string address = "127.0.0.1";  // IPv4 or IPv6
    std::uint16_t port = 0;             // 0: any free one
    int backlog = 4096;                 // connections that the kernel holds before they are accepted
    std::string congestion = "cubic";   // TCP congestion control
    int send_buffer_bytes = 0;          // 0: as the kernel tunes it
    int defer_accept_s = 0;             // how long the kernel waits for a connection's first bytes; 0: not at all
    bool reuseport = false;             // open_all() makes a socket for each worker (SO_REUSEPORT)
    bool accept_blocks = false;         // accept() waits until a client comes
    bool connections_block = false;     // accepted sockets are in blocking mode
    // How often a blocked call returns, so that its thread can look at its connection's deadline. In ms; at least 1.
    std::int64_t tick_ms = 1000;
  };

  // Throws StartError, UsageError.
  explicit Listener(const Settings& settings);
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
  // BLOCKS: network, with Settings::accept_blocks: until a client comes (none: a signal or the socket's time-out, for
  // the caller to look around). Else never waits. Throws StartError when the socket can accept nobody any more.
  Accepted accept() const;

  // Clients whose connection the kernel has made and nobody has accepted. One system call.
  int waiting() const;

  int fd() const { return fd_; }
  std::uint16_t port() const { return port_; }
  // It listens at all addresses of this machine, as 0.0.0.0 and :: ask for, and not at one of them.
  bool is_at_every_address() const { return every_address_; }

  // One for all workers; or with Settings::reuseport one for each, at the same port: the kernel then chooses among the
  // sockets by the client's address, and what waits at one is nobody else's. Throws StartError, UsageError.
  static std::vector<Listener> open_all(const Settings& settings, int workers);

 private:
  int fd_ = -1;
  int accept_flags_;
  std::uint16_t port_ = 0;
  bool every_address_ = false;
};

}  // namespace bakeoff
