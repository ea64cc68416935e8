#include "harness/ground/interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <memory>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

namespace ip = boost::asio::ip;

std::uint32_t bits_of(const unsigned char* bytes, std::size_t count) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < count; ++i) bits += static_cast<std::uint32_t>(std::popcount(bytes[i]));
  return bits;
}

std::string list_of(const std::vector<InterfaceAddress>& here) {
  std::string text;
  for (const InterfaceAddress& one : here)
    text += (text.empty() ? "" : ", ") + one.interface + " (" + one.address + "/" + std::to_string(one.prefix) + ")";
  return text.empty() ? "none" : text;
}

bool is_ipv4(const InterfaceAddress& one) { return one.address.find(':') == std::string::npos; }

}  // namespace

std::vector<InterfaceAddress> interface_addresses() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(first, freeifaddrs);
  std::vector<InterfaceAddress> found;
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_netmask == nullptr || (one->ifa_flags & IFF_UP) == 0) continue;
    char text[INET6_ADDRSTRLEN] = {};
    if (one->ifa_addr->sa_family == AF_INET) {
      const auto* address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      const auto* mask = reinterpret_cast<const sockaddr_in*>(one->ifa_netmask);
      inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
      found.push_back({one->ifa_name, text, bits_of(reinterpret_cast<const unsigned char*>(&mask->sin_addr), 4)});
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      const auto* address = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      const auto* mask = reinterpret_cast<const sockaddr_in6*>(one->ifa_netmask);
      if (IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr)) continue;
      inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text);
      found.push_back({one->ifa_name, text, bits_of(mask->sin6_addr.s6_addr, 16)});
    }
  }
  return found;
}

std::string network_of(const InterfaceAddress& one) {
  const ip::address address = ip::make_address(one.address);
  if (address.is_v4())
    return ip::make_network_v4(address.to_v4(), static_cast<unsigned short>(one.prefix)).canonical().to_string();
  return ip::make_network_v6(address.to_v6(), static_cast<unsigned short>(one.prefix)).canonical().to_string();
}

bool is_in_network(const std::string& address, const std::string& network) {
  boost::system::error_code bad;
  const ip::address one = ip::make_address(address, bad);
  if (bad) return false;
  if (one.is_v4()) {
    const ip::network_v4 whole = ip::make_network_v4(network, bad);
    return !bad && ip::make_network_v4(one.to_v4(), whole.prefix_length()).canonical() == whole.canonical();
  }
  const ip::network_v6 whole = ip::make_network_v6(network, bad);
  return !bad && ip::make_network_v6(one.to_v6(), whole.prefix_length()).canonical() == whole.canonical();
}

RunNetwork choose_network(const HostsSpec& hosts, const std::vector<InterfaceAddress>& here) {
  RunNetwork chosen{hosts.server_address, ""};
  if (!hosts.any() && hosts.server_host.empty()) {
    if (chosen.server_address.empty()) chosen.server_address = "127.0.0.1";
    return chosen;
  }
  const auto is_wanted = [&](const InterfaceAddress& one) {
    if (!hosts.interface.empty())
      return one.interface == hosts.interface || is_in_network(one.address, hosts.interface);
    return one.address == hosts.server_address;
  };
  if (hosts.interface.empty() && hosts.server_address.empty())
    throw UsageError(
        "[resources]: client hosts need the network between them and the server: interface = \"eth1\", or "
        "\"10.10.1.0/24\"; here are " +
        list_of(here));
  auto found = std::find_if(here.begin(), here.end(),
                            [&](const InterfaceAddress& one) { return is_wanted(one) && is_ipv4(one); });
  if (found == here.end()) found = std::find_if(here.begin(), here.end(), is_wanted);
  if (found == here.end())
    throw UsageError("[resources]: the server's host has no " +
                     (hosts.interface.empty() ? "address " + hosts.server_address : "interface " + hosts.interface) +
                     "; it has " + list_of(here));
  if (chosen.server_address.empty()) chosen.server_address = found->address;
  // Ranks talk IPv4 where their interface has it, whatever the server listens at.
  const auto beside = std::find_if(here.begin(), here.end(), [&](const InterfaceAddress& one) {
    return one.interface == found->interface && is_ipv4(one);
  });
  chosen.of_ranks = network_of(is_ipv4(*found) || beside == here.end() ? *found : *beside);
  return chosen;
}

std::string server_address(const HostsSpec& hosts) {
  if (!hosts.any()) return hosts.server_address.empty() ? "127.0.0.1" : hosts.server_address;
  return choose_network(hosts, interface_addresses()).server_address;
}

std::string authority(const std::string& address, std::uint16_t port) {
  const bool ipv6 = address.find(':') != std::string::npos;
  return (ipv6 ? "[" + address + "]:" : address + ":") + std::to_string(port);
}

std::vector<std::string> misleading_interfaces(const std::vector<InterfaceAddress>& here) {
  std::vector<std::string> found;
  for (const InterfaceAddress& one : here) {
    for (const char* prefix : {"docker", "virbr", "lxcbr", "lxdbr", "cni", "podman"}) {
      if (one.interface.starts_with(prefix) && is_ipv4(one))
        found.push_back(one.interface + " (" + one.address + "/" + std::to_string(one.prefix) + ")");
    }
  }
  return found;
}

}  // namespace bakeoff
