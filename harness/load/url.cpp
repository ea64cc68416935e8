#include "harness/load/url.h"

#include <netdb.h>

#include <charconv>

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
    if (error != std::errc{} || stop != port.data() + port.size() || url.port == 0) throw refuse("the port is not a number from 1 to 65535");
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

SocketAddress resolve(const Url& url) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &wanted, &found); error != 0)
    throw StartError("cannot find the address of " + url.host + ": " + gai_strerror(error));
  SocketAddress address;
  address.length = found->ai_addrlen;
  const auto* bytes = reinterpret_cast<const char*>(found->ai_addr);
  std::copy(bytes, bytes + found->ai_addrlen, reinterpret_cast<char*>(&address.storage));
  freeaddrinfo(found);
  return address;
}

}  // namespace bakeoff
