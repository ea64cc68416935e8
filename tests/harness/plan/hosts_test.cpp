#include "harness/plan/hosts.h"

#include "core/base/errors.h"
#include "harness/plan/specification.h"
#include "tests/catch.h"

using namespace bakeoff;
using Catch::Matchers::Contains;

namespace {

Specification with_resources(const std::string& resources) {
  return parse_specification(
      "[workload]\nname = \"specweb99\"\n[load]\nconnections = 8\n[[server]]\narchitecture = "
      "\"sped\"\n[resources]\n" +
          resources,
      "x.toml");
}

}  // namespace

TEST_CASE("client hosts have ranks") {
  const HostsSpec hosts = with_resources("client_hosts = [\"c1\", \"user@c2:4\"]\ninterface = \"eth1\"").hosts;
  CHECK(hosts.clients == std::vector<ClientHost>{{"c1", 1}, {"user@c2", 4}});
  CHECK(hosts.ranks() == 5);
  CHECK(hosts.agent.front() == "ssh");
  CHECK(hosts.lost == LostHost::repeat);
  CHECK_FALSE(with_resources("server_processors = 1").hosts.any());
  CHECK(with_resources("client_hosts = \"c1\"\ninterface = \"eth1\"\nlauncher = \"srun\"").hosts.agent.front() ==
        "srun");
}

TEST_CASE("a hostfile is Open MPI's") {
  CHECK(parse_hostfile("# mine\nc1\nc2 slots=4 max_slots=8  # fast\n\n", "hosts") ==
        std::vector<ClientHost>{{"c1", 1}, {"c2", 4}});
  CHECK_THROWS_WITH(parse_hostfile("c1\nc2 slots=x\n", "hosts"),
                    "hosts:2: expected a host and maybe slots=N, got c2 slots=x");
  CHECK_THROWS_WITH(parse_hostfile("c1 $(reboot)\n", "hosts"), Contains("hosts:1: "));
}

TEST_CASE("what cannot be client hosts is refused with its place") {
  const auto refuses = [](const std::string& resources, const std::string& text) {
    INFO(resources);
    CHECK_THROWS_WITH(with_resources(resources), Contains("x.toml:") && Contains(text));
  };
  refuses("client_hosts = [\"c1:0\"]", "expected hosts such as \"c1\", or \"c2:4\" for four ranks on one");
  refuses("client_hosts = [\"a b\"]", "got \"a b\"");
  refuses("client_hosts = [\"-oProxyCommand=x\"]", "expected hosts");
  refuses("client_hosts = [\"$(reboot)\"]", "expected hosts");
  refuses("client_hosts = [\"c1\", \"c1\"]", "c1 is named twice; for two ranks on it, say \"c1:2\"");
  refuses("client_hosts = [\"c1\"]\nhostfile = \"h\"", "give it or client_hosts, not both");
  refuses("hostfile = \"/nowhere/hosts\"", "hostfile");
  for (const std::string every : {"0.0.0.0", "::", "0:0::0", "::ffff:0.0.0.0"})
    refuses("client_hosts = [\"c1\"]\nserver_address = \"" + every + "\"", "a server would listen to the world");
  refuses("server_address = \"localhost\"", "expected an IP address, got \"localhost\"");
  refuses("client_hosts = [\"c1\"]\nlauncher = \"rsh\"", "launcher");
  refuses("client_hosts = [\"c1\"]\nagent = \"./agent\"", "expected a whole path or a word that $PATH finds");
  refuses("interface = \"eth1\"", "it applies to client hosts");
  refuses("server_host = \"-x\"", "expected a host's name");
  refuses("client_hosts = [\"c1\"]\ninterface = \"eth1\"\n[network]\nmtu = 1500",
          "client hosts do not reach a network of the run's own");
}
