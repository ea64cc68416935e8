// A run whose server is on another host: the whole run takes place there, since a server is measured from beside it
// (/proc, control groups, its disk). What it needs is sent, what it says is passed on, and its folder comes back.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/ground/programs.h"

namespace bakeoff {

// Whether the specification's server_host is another host than this one.
bool is_server_elsewhere(const HostsSpec& hosts);

// Runs `bakeoff COMMAND` with these options there, on the folder's spec.toml and inputs, or goes on with the run that
// the folder holds. Its messages go to standard error. Returns its exit status; the folder then has what the run wrote.
// Nothing goes on there when this process ends in any way. StartError when the host cannot be reached or lacks
// something. BLOCKS: for the whole run.
int run_on_server_host(Programs& programs, const Specification& spec, const std::filesystem::path& folder,
                       const std::string& command, const std::vector<std::string>& options, bool resume);

}  // namespace bakeoff
