// The target of a run: http://HOST[:PORT][/PATH].
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace bakeoff {

struct Url {
  std::string host;         // without the brackets of an IPv6 address
  std::uint16_t port = 80;
  std::string authority;    // as in a Host field: the port only where the URL has it
  std::string path = "/";   // with the query; what a request line may not hold is percent-encoded
};

// UsageError for anything else than http, an empty host, a bad port, or user information.
Url parse_url(std::string_view text);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  bool is_loopback_ipv4() const;
};

// BLOCKS: network. StartError when the name has no address.
SocketAddress resolve(const Url& url);

}  // namespace bakeoff
