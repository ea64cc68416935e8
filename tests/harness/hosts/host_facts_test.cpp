#include "harness/hosts/host_facts.h"

#include "harness/hosts/client_hosts.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

const std::string printed =
    "kernel\tLinux 6.1.0\ncpu\tXeon\nprocessors\t8\ntcp_congestion_control\tcubic\nmpi\tmpirun (Open MPI) 4.1.4\n"
    "link\t1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue\nlink\t2: eth1@if5: <BROADCAST,UP> mtu 9000 qdisc mq\n"
    "address\t1: lo    inet 127.0.0.1/8 scope host lo\naddress\t2: eth1    inet 10.10.1.2/24 brd 10.10.1.255\n"
    "driver\teth1 mlx5_core\noffload\teth1 tcp-segmentation-offload on\nnonsense\n";

}  // namespace

TEST_CASE("a host's facts are those of the interface in the network") {
  const nlohmann::json facts = facts_of(printed, "10.10.1.0/24");
  CHECK(facts["kernel"] == "Linux 6.1.0");
  CHECK(facts["address"] == "10.10.1.2");
  CHECK(facts["interface"]["name"] == "eth1");
  CHECK(facts["interface"]["mtu"] == "9000");
  CHECK(facts["interface"]["driver"] == "mlx5_core");
  CHECK(facts["interface"]["offloads"]["tcp-segmentation-offload"] == "on");
  CHECK(facts_of(printed, "10.99.0.0/16")["address"].is_null());
  CHECK(facts_of(printed, "10.99.0.0/16")["interface"].is_null());
  CHECK(facts_of("", "10.10.1.0/24")["address"].is_null());
}

TEST_CASE("hosts that differ are told apart") {
  std::string other = printed;
  other.replace(other.find("mtu 9000"), 8, "mtu 1500");
  const std::map<std::string, nlohmann::json> facts = {{"c1", facts_of(printed, "10.10.1.0/24")},
                                                       {"c2", facts_of(other, "10.10.1.0/24")},
                                                       {"c3", facts_of(other, "10.10.1.0/24")}};
  CHECK(differences(facts) == std::vector<std::string>{"the hosts differ in MTU: 1500 (c2, c3), 9000 (c1)"});
}

TEST_CASE("what goes to a shell comes out as it was") {
  CHECK(shell_quoted("a b") == "'a b'");
  CHECK(shell_quoted("it's $x") == "'it'\\''s $x'");
}

TEST_CASE("mpirun is told the network, the ranks of each host, and the way in") {
  HostsSpec spec;
  spec.agent = {"ssh", "-p", "2222"};
  const auto words = launch_words(spec, {{"c1", 1}, {"c2", 4}}, "10.10.1.0/24", "/kit/bakeoff-load-ranks");
  const auto has = [&](const std::vector<std::string>& some) {
    return std::search(words.begin(), words.end(), some.begin(), some.end()) != words.end();
  };
  CHECK(has({"mpirun", "-n", "5", "--host", "c1:1,c2:4"}));
  CHECK(has({"--mca", "plm_rsh_agent", "ssh -p 2222"}));
  CHECK(has({"--mca", "btl_tcp_if_include", "10.10.1.0/24"}));
  CHECK(has({"--mca", "oob_tcp_if_include", "10.10.1.0/24"}));
  CHECK(has({"-x", "BAKEOFF_RANK_HOSTS=c1,c2,c2,c2,c2"}));
  CHECK(words.back() == "/kit/bakeoff-load-ranks");
  spec.launcher = "srun";
  CHECK(launch_words(spec, {{"c1", 2}}, "10.10.1.0/24", "/kit/p").front() == "env");
}
