#include "harness/load/url.h"

#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/base/clock.h"
#include "core/base/errors.h"

namespace bakeoff {

Url parse_url(std::string_view text) {
  const auto refuse = [&](const std::string& why) -> UsageError {
    return UsageError("URL \"" + std::string(text) + "\": " + why + "; expected http://HOST[:PORT][/PATH]");
  };
  constexpr std::string_view scheme = "http://";
  if (!text.starts_with(scheme)) throw refuse("it does not begin with http://");
  std::string_view rest = text.substr(scheme.size());
  const std::size_t end = rest.find_first_of("/?#");
  const std::string_view authority = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end);
  if (authority.find('@') != std::string_view::npos) throw refuse("user information is not supported");

  Url url;
  url.authority = authority;
  std::string_view port;
  if (authority.starts_with("[")) {
    const std::size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) throw refuse("a bracket is not closed");
    url.host = authority.substr(1, bracket - 1);
    port = authority.substr(bracket + 1);
    if (!port.empty() && port.front() != ':') throw refuse("something stands between the address and the port");
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view{} : authority.substr(colon);
  }
  if (url.host.empty()) throw refuse("the host is missing");
  if (!port.empty()) {
    port.remove_prefix(1);
    const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc{} || stop != port.data() + port.size() || url.port == 0)
      throw refuse("the port is not a number from 1 to 65535");
  }

  rest = rest.substr(0, rest.find('#'));
  if (rest.starts_with("/")) url.path.clear();
  for (const char c : rest) {
    if (c > ' ' && c < '\x7f') {
      url.path += c;
    } else {
      constexpr std::string_view digits = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      url.path += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return url;
}

bool SocketAddress::is_loopback_ipv4() const {
  if (storage.ss_family != AF_INET) return false;
  return (ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr) >> 24) == 127;
}

std::string SocketAddress::text() const {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(get(), length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "?";
  std::string text;
  if (storage.ss_family == AF_INET6) {
    text.append("[").append(host).append("]");
  } else {
    text = host;
  }
  return text.append(":").append(port);
}

std::vector<SocketAddress> resolve(const Url& url) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &wanted, &found); error != 0)
    throw StartError("cannot find the address of " + url.host + ": " + gai_strerror(error));
  std::vector<SocketAddress> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    SocketAddress& address = addresses.emplace_back();
    address.length = each->ai_addrlen;
    const auto* bytes = reinterpret_cast<const char*>(each->ai_addr);
    std::copy(bytes, bytes + each->ai_addrlen, reinterpret_cast<char*>(&address.storage));
  }
  freeaddrinfo(found);
  return addresses;
}

namespace {

// 0, or why no connection could be opened. BLOCKS: network.
int try_to_connect(const SocketAddress& address, std::int64_t timeout_ns, const std::atomic<bool>& stop) {
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  int error = connect(fd, address.get(), address.length) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    const std::int64_t end_ns = monotonic_ns() + timeout_ns;
    pollfd ready{fd, POLLOUT, 0};
    int count = 0;
    do {
      const std::int64_t left_ns = std::max<std::int64_t>(0, end_ns - monotonic_ns());
      count = poll(&ready, 1, static_cast<int>(std::min<std::int64_t>(left_ns / 1'000'000 + 1, 1'000'000)));
    } while (count < 0 && errno == EINTR && !stop);
    error = count == 0 ? ETIMEDOUT : EINTR;
    socklen_t length = sizeof error;
    if (count > 0) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  }
  close(fd);
  return error;
}

}  // namespace

SocketAddress first_that_accepts(const std::vector<SocketAddress>& addresses, const Url& url, std::int64_t timeout_ns,
                                 const std::atomic<bool>& stop) {
  if (addresses.size() == 1) return addresses.front();
  std::string tried;
  for (const SocketAddress& address : addresses) {
    const int error = try_to_connect(address, timeout_ns, stop);
    if (error == 0) return address;
    tried += (tried.empty() ? "" : ", ") + address.text() + ": " + std::strerror(error);
    if (stop) break;
  }
  throw StartError("no connection to " + url.authority + " could be opened (" + tried +
                   "); is the server running there?");
}

}  // namespace bakeoff
