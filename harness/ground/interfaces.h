// The addresses of this machine, and which of them a run over several hosts uses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/plan/hosts.h"

namespace bakeoff {

struct InterfaceAddress {
  std::string interface;
  std::string address;       // IPv4 or IPv6
  std::uint32_t prefix = 0;  // bits of its network
};

// Of all interfaces that are up, without link-local IPv6 addresses. Empty when the kernel does not tell.
std::vector<InterfaceAddress> interface_addresses();

// "10.10.1.3" and 24 make "10.10.1.0/24".
std::string network_of(const InterfaceAddress& address);
// Whether the address lies in "10.10.1.0/24". False for a text that is not a network.
bool is_in_network(const std::string& address, const std::string& network);

struct RunNetwork {
  std::string server_address;  // at which servers listen
  std::string of_ranks;        // "10.10.1.0/24": what the ranks talk over; empty without client hosts
};

// UsageError when the interface or the address is not here; it lists those that are.
RunNetwork choose_network(const HostsSpec& hosts, const std::vector<InterfaceAddress>& here);
// On this machine. 127.0.0.1 without client hosts or an address of one's own.
std::string server_address(const HostsSpec& hosts);

// "10.0.0.1:80", "[fd00::1]:80".
std::string authority(const std::string& address, std::uint16_t port);

// Interfaces that programs for virtual machines and containers make on every machine alike, with the same addresses:
// MPI may choose one of them, and never reaches another host. Sentences.
std::vector<std::string> misleading_interfaces(const std::vector<InterfaceAddress>& here);

}  // namespace bakeoff
