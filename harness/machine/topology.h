// Which processors are threads of one core, share a cache, a memory node: and who of a run gets which of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/plan/specification.h"

namespace bakeoff {

struct Processor {
  int number = 0;
  int core = 0;     // the lowest of the processors that are hardware threads of the same core
  int cache = -1;   // the lowest of those that share its last-level cache; -1: the kernel does not tell
  int node = 0;     // of memory
  int package = 0;  // the chip
};

struct Topology {
  std::vector<Processor> processors;  // ascending
  bool cores_known = true;  // false: the kernel does not tell of all of them, and each counts as a core of its own
};

// Of those processors. `root`: as /sys/devices/system/cpu; what is not there counts as unknown. BLOCKS: disk (/sys).
Topology read_topology(const std::vector<int>& processors,
                       const std::filesystem::path& root = "/sys/devices/system/cpu");

// "0-3,8" of the kernel; empty for anything else.
std::vector<int> parse_processor_list(const std::string& text);

// {"processors": 8, "cores": 4, "last_level_caches": 1, "nodes": 1, "packages": 1}; what the kernel does not tell
// is null.
nlohmann::json to_json(const Topology& topology);

// Where server, client and harness run; an empty list: not pinned, which is so where there is one processor.
struct Placement {
  std::vector<int> server_processors;
  std::vector<int> client_processors;   // also of a slow disk's program where the harness shares them
  std::vector<int> harness_processors;  // also of whatever else belongs to neither side
  std::vector<int> occupied;            // the processors of all cores on which one of the three runs
  std::string note;                     // one sentence: who has which, and what had to be shared
  bool server_shares_core = false;      // with the client or the harness
  bool client_shares_core = false;      // with the server or the harness
};

// Server and client get cores of their own under one last-level cache, else on one node, else in one package. The
// harness gets a further core, else another hardware thread of the client's core, else the client's processors: there
// the validity rules see its cost as the client's limit, while on the server's processors it would be unnoticed.
// Two hardware threads of one core go to different sides only when there are no more cores. Processor 0, to which
// the kernel sends most interrupts, goes to the harness if there are enough others. UsageError when there are fewer
// processors than [resources] asks for, or not one that it names.
Placement place(const Specification& spec, const Topology& topology);
// On this machine, with the processors that this process may use. BLOCKS: disk (/sys)
Placement place(const Specification& spec);

}  // namespace bakeoff
