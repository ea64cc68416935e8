// The target of a run: http://HOST[:PORT][/PATH].
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bakeoff {

struct Url {
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 80;
  std::string authority;   // host and port as the URL has them
  std::string path = "/";  // with the query; what a request line may not hold is percent-encoded
};

// UsageError for anything else than http, an empty host, a bad port, or user information.
Url parse_url(std::string_view text);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  bool is_loopback_ipv4() const;
  std::string text() const;  // "127.0.0.1:80", "[::1]:80"
};

// All addresses of the host, in the order in which the system prefers them. StartError when there is none.
// BLOCKS: network.
std::vector<SocketAddress> resolve(const Url& url);
// The first address that accepts a connection, which is closed at once. A single address is returned untried.
// StartError when none accepts, with the reason of each; also when `stop` is set meanwhile. timeout_ns: of each try.
// BLOCKS: network.
SocketAddress first_that_accepts(const std::vector<SocketAddress>& addresses, const Url& url, std::int64_t timeout_ns,
                                 const std::atomic<bool>& stop);

}  // namespace bakeoff
