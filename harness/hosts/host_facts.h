// What kind of machine each host is, and whether they are alike.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/hosts/remote_shell.h"

namespace bakeoff {

// A script that tells: kernel, processor, memory, TCP's settings, interfaces and their offloads, MPI.
std::string facts_script();
// What it printed; of its interfaces the one in `network`, null where there is none.
nlohmann::json facts_of(const std::string& printed, const std::string& network);
// Sentences: in which of the facts that set a client's speed the hosts differ.
std::vector<std::string> differences(const std::map<std::string, nlohmann::json>& facts);

}  // namespace bakeoff
