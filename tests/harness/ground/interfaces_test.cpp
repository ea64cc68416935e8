#include "harness/ground/interfaces.h"

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;
using Catch::Matchers::Contains;

namespace {

const std::vector<InterfaceAddress> here = {{"lo", "127.0.0.1", 8},
                                            {"eth0", "192.0.2.7", 24},
                                            {"eth1", "10.10.1.1", 24},
                                            {"eth1", "fd00::1", 64},
                                            {"docker0", "172.17.0.1", 16}};

HostsSpec clients() {
  HostsSpec hosts;
  hosts.clients = {{"c1", 1}};
  return hosts;
}

}  // namespace

TEST_CASE("the network of a run is the interface's") {
  HostsSpec hosts = clients();
  for (const char* interface : {"eth1", "10.10.1.0/24"}) {
    hosts.interface = interface;
    const RunNetwork network = choose_network(hosts, here);
    CHECK(network.server_address == "10.10.1.1");
    CHECK(network.of_ranks == "10.10.1.0/24");
  }
  // Servers at IPv6; ranks talk IPv4 on the same interface.
  hosts.interface = "";
  hosts.server_address = "fd00::1";
  CHECK(choose_network(hosts, here).server_address == "fd00::1");
  CHECK(choose_network(hosts, here).of_ranks == "10.10.1.0/24");
}

TEST_CASE("without client hosts a server listens to its own machine") {
  CHECK(choose_network({}, here).server_address == "127.0.0.1");
  CHECK(server_address({}) == "127.0.0.1");
}

TEST_CASE("an interface that is not there is refused with those that are") {
  HostsSpec hosts = clients();
  CHECK_THROWS_WITH(choose_network(hosts, here),
                    Contains("client hosts need the network") && Contains("eth1 (10.10.1.1/24)"));
  hosts.interface = "eth9";
  CHECK_THROWS_WITH(choose_network(hosts, here), Contains("the server's host has no interface eth9; it has lo"));
  hosts.interface = "";
  hosts.server_address = "10.9.9.9";
  CHECK_THROWS_WITH(choose_network(hosts, here), Contains("no address 10.9.9.9"));
}

TEST_CASE("addresses lie in networks") {
  CHECK(is_in_network("10.10.1.200", "10.10.1.0/24"));
  CHECK_FALSE(is_in_network("10.10.2.1", "10.10.1.0/24"));
  CHECK(is_in_network("fd00::5", "fd00::/64"));
  CHECK_FALSE(is_in_network("fd00::5", "10.10.1.0/24"));
  CHECK_FALSE(is_in_network("nonsense", "10.10.1.0/24"));
  CHECK_FALSE(is_in_network("10.10.1.2", "eth1"));
  CHECK(authority("fd00::1", 80) == "[fd00::1]:80");
  CHECK(authority("10.0.0.1", 80) == "10.0.0.1:80");
}

TEST_CASE("interfaces that every machine has alike mislead MPI") {
  CHECK(misleading_interfaces(here) == std::vector<std::string>{"docker0 (172.17.0.1/16)"});
}
