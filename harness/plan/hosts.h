// Which hosts a run uses beside the one that it is started on: keys of [resources].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/toml/strict_toml.h"
#include "harness/plan/inputs.h"

namespace bakeoff {

struct ClientHost {
  std::string name;
  std::uint32_t ranks = 1;  // processes of the load generator
  bool operator==(const ClientHost&) const = default;
};

// What is done when a client host is lost: its trial is void in any case.
enum class LostHost {
  repeat,  // wait until it is back, and repeat the trial with all hosts
  go_on,   // repeat the trial with those that remain
};

struct HostsSpec {
  std::vector<ClientHost> clients;  // empty: the load generator runs beside the harness
  std::string launcher = "mpirun";  // or "srun"
  std::vector<std::string> agent;   // the words of a command that runs another one on a host, as ssh does
  std::string interface;            // a name on the server's host ("eth1") or a network ("10.10.1.0/24"); empty: any
  std::string server_host;          // empty: the harness's
  std::string server_address;       // IPv4 or IPv6; empty: of the interface, and 127.0.0.1 without client hosts
  LostHost lost = LostHost::repeat;

  bool any() const { return !clients.empty(); }
  std::uint32_t ranks() const;
};

// UsageError with file and column for anything that cannot be, a name that a shell would take apart included.
HostsSpec read_hosts(const TomlTable& resources, InputFinder& finder);

// "c1" or "c2:4". Empty name: not one.
ClientHost parse_client_host(const std::string& text);
// Open MPI's form: a line a host, "c2 slots=4", # before comments. UsageError names the line.
std::vector<ClientHost> parse_hostfile(const std::string& text, const std::string& file_name);

}  // namespace bakeoff
