#include "core/events/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
};

Address parse_address(const std::string& text, std::uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.bytes = sizeof *v4;
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.bytes = sizeof *v6;
  } else {
    throw UsageError("--address=" + text + " is not an IP address; give one such as 127.0.0.1 or ::1");
  }
  return address;
}

void set_number(int fd, int level, int name, int value, const char* what) {
  if (::setsockopt(fd, level, name, &value, sizeof value) != 0) {
    throw StartError(std::string(what) + " cannot be set: " + std::strerror(errno));
  }
}

}  // namespace

Listener::Listener(const Settings& settings)
    : accept_flags_(SOCK_CLOEXEC | (settings.connections_block ? 0 : SOCK_NONBLOCK)) {
  const Address address = parse_address(settings.address, settings.port);
  fd_ =
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | (settings.accept_blocks ? 0 : SOCK_NONBLOCK), 0);
  if (fd_ < 0) throw StartError(std::string("cannot create a socket: ") + std::strerror(errno));
  try {
    set_number(fd_, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    set_number(fd_, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    if (::setsockopt(fd_, IPPROTO_TCP, TCP_CONGESTION, settings.congestion.data(),
                     static_cast<socklen_t>(settings.congestion.size())) != 0) {
      throw UsageError("--congestion=" + settings.congestion + " is not available here (" + std::strerror(errno) +
                       "); /proc/sys/net/ipv4/tcp_available_congestion_control lists what is");
    }
    if (settings.send_buffer_bytes > 0) {
      set_number(fd_, SOL_SOCKET, SO_SNDBUF, settings.send_buffer_bytes, "--send-buffer");
    }
    if (settings.defer_accept_s > 0) {
      set_number(fd_, IPPROTO_TCP, TCP_DEFER_ACCEPT, settings.defer_accept_s, "--defer-accept");
    }
    if (settings.connections_block) {
      const timeval tick = {settings.tick_ms / 1000, settings.tick_ms % 1000 * 1000};
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
      ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick);
    }
    if (settings.reuseport) set_number(fd_, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
    const std::string where = settings.address + " port " + std::to_string(settings.port);
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address.storage), address.bytes) != 0) {
      const int error = errno;
      throw StartError(where + (error == EADDRINUSE ? " is in use; choose another with --port, or 0 for any free one"
                                                    : " cannot be listened on: " + std::string(std::strerror(error))));
    }
    if (::listen(fd_, settings.backlog) != 0)
      throw StartError(where + " cannot be listened on: " + std::strerror(errno));
    sockaddr_storage bound{};
    socklen_t bytes = sizeof bound;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &bytes);
    if (bound.ss_family == AF_INET6) {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(bound);
      port_ = ntohs(v6.sin6_port);
      const in6_addr& at = v6.sin6_addr;
      every_address_ = IN6_IS_ADDR_UNSPECIFIED(&at) || (IN6_IS_ADDR_V4MAPPED(&at) && at.s6_addr32[3] == 0);
    } else {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(bound);
      port_ = ntohs(v4.sin_port);
      every_address_ = v4.sin_addr.s_addr == INADDR_ANY;
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

Listener::~Listener() {
  if (fd_ >= 0) ::close(fd_);
}

Listener::Listener(Listener&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      accept_flags_(other.accept_flags_),
      port_(other.port_),
      every_address_(other.every_address_) {}

std::vector<Listener> Listener::open_all(const Settings& settings, int workers) {
  std::vector<Listener> listeners;
  if (!settings.reuseport) {
    listeners.emplace_back(settings);
    return listeners;
  }
  Settings each = settings;
  each.reuseport = false;
  each.port = Listener(each).port();  // so that a port where another server listens is refused, not shared with it
  each.reuseport = true;
  for (int i = 0; i < workers; ++i) listeners.emplace_back(each);
  return listeners;
}

int Listener::waiting() const {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  // Of a listening socket tcpi_unacked is the length of its queue.
  return ::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 ? static_cast<int>(info.tcpi_unacked) : 0;
}

Listener::Accepted Listener::accept() const {
  for (;;) {
    const int fd = ::accept4(fd_, nullptr, nullptr, accept_flags_);
    if (fd >= 0) return {Outcome::accepted, fd};
    switch (errno) {
      case EAGAIN:
      case EINTR: return {Outcome::none, -1};
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM: return {Outcome::exhausted, -1};
      // This client is gone already, or the network had an error for it (accept(2)): the next one.
      case ECONNABORTED:
      case ECONNRESET:
      case EPROTO:
      case EPERM:
      case ETIMEDOUT:
      case ENETDOWN:
      case ENETUNREACH:
      case EHOSTDOWN:
      case EHOSTUNREACH:
      case ENONET:
      case ENOPROTOOPT:
      case EOPNOTSUPP: continue;
      // Not a listening socket: a permanent error.
      default: throw StartError(std::string("accept() fails for good: ") + std::strerror(errno));
    }
  }
}

}  // namespace bakeoff
