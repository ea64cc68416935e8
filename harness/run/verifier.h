// Before anything is measured: does a server answer every file with the right bytes?
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "harness/processes/reactor.h"
#include "workloads/file_set.h"

namespace bakeoff {

// Asks for every file over one kept connection and compares every byte. StartError "SERVER: /path: ..." for the first
// that is wrong. `alive` is asked while waiting; once false, the wait is over. BLOCKS: network.
void verify_files(Reactor& reactor, const std::string& server, std::uint16_t port, const FileSet& files,
                  const std::function<bool()>& alive, const std::string& address = "127.0.0.1");

}  // namespace bakeoff
