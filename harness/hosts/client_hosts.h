// The hosts that make the load, for the length of a run: looked at, given what they lack, and had back or left out when
// they are lost.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/ground/interfaces.h"
#include "harness/ground/programs.h"
#include "harness/hosts/kit.h"
#include "harness/hosts/remote_shell.h"

namespace bakeoff {

// The words that start `program` on the hosts, so many ranks on each, over that network; the program's own follow.
std::vector<std::string> launch_words(const HostsSpec& spec, const std::vector<ClientHost>& hosts,
                                      const std::string& network, const std::string& program);

class ClientHosts {
 public:
  // All of it must outlive the object. REQUIRES: spec.hosts.any(). Each host must answer, run our programs, have the
  // same MPI as this one, and an address in the network: StartError with a sentence that names the first that does not.
  // BLOCKS: network.
  ClientHosts(Programs& programs, const Specification& spec);

  // The load generator's command line, as one for ranks on all hosts that remain.
  Command as_ranks(const Command& load) const;
  std::uint32_t ranks() const;
  std::vector<std::string> names() const;

  // What they are, by name, this host's as "here"; and sentences about how they differ.
  const std::map<std::string, nlohmann::json>& facts() const { return facts_; }
  const std::vector<std::string>& notes() const { return notes_; }

  // The last load did not end in order: ends what is left of it on every host that answers. BLOCKS: network.
  void clean_up();
  // Before a load, after one that was lost: waits until all hosts are back, at most ten minutes, or goes on with those
  // that are, as the specification says. StartError when that cannot be. BLOCKS: network.
  void make_ready();

 private:
  void copy_kit();
  void look_at_hosts();

  Programs& programs_;
  const Specification& spec_;
  RemoteShell shell_;
  RunNetwork network_;
  Kit kit_;
  std::map<std::string, std::string> copies_;  // of inputs: where a host has them, by where they are here
  std::vector<ClientHost> hosts_;              // that remain
  std::map<std::string, nlohmann::json> facts_;
  std::vector<std::string> notes_;
  bool lost_ = false;
};

}  // namespace bakeoff
