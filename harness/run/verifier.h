// Before anything is measured: does a server answer every file with the right bytes?
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "harness/processes/reactor.h"
#include "workloads/file_set.h"

namespace bakeoff {

// How a server treats a connection that its client keeps.
struct KeptConnections {
  std::size_t replies = 0;
  std::size_t closed = 0;  // replies after which it closed, announced or not
  bool one_request_each() const { return closed > replies / 2; }
};

// Asks for every file, and for the first once more, over a connection that it keeps, and compares every byte.
// StartError "SERVER: /path: ..." for the first that is wrong. `alive` is asked while waiting; once false, the wait is
// over. BLOCKS: network.
KeptConnections verify_files(Reactor& reactor, const std::string& server, std::uint16_t port, const FileSet& files,
                             const std::function<bool()>& alive, const std::string& address = "127.0.0.1");

}  // namespace bakeoff
