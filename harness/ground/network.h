// A network of the run's own: a network namespace with only a loopback interface. It has no sockets, ports, connections
// in TIME_WAIT or packet filters of other programs or earlier trials. Its sysctls are those of the network that the
// harness was started in.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "harness/plan/specification.h"

namespace bakeoff {

class Network {
 public:
  // Makes one. An unprivileged process first enters a user namespace and stays in it: it loses only the rights of
  // programs that change the user (setuid). StartError in one sentence when it is not available.
  // BLOCKS: milliseconds, in the kernel.
  explicit Network(const NetworkSpec& settings);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Why none can be made here, found out by trying in a process that ends; empty: one can.
  static const std::string& obstacle();

  // While it lives, the calling thread is in that network, and so are the children that it starts. nullptr:
  // nothing changes.
  class Inside {
   public:
    explicit Inside(const Network* network);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    int before_ = -1;
  };

 private:
  int fd_ = -1;
};

// Whether the specification's trials run in networks of their own. StartError when they are asked to, and none can
// be made.
bool has_own_network(const Specification& spec);

// One sentence for a run whose trials share the machine's network because they have to; else empty.
std::string network_note(const Specification& spec);

// What the calling thread's network is like: the loopback interface's MTU and offloads, and the congestion control.
// null for what cannot be found out.
nlohmann::json describe_network();

}  // namespace bakeoff
