// Whether a server grows while it serves: memory, descriptors and tasks over a long time of the same load.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace bakeoff {

struct SoakSample {
  double at_s = 0;          // since the load began
  double memory_bytes = 0;  // proportional set size of the process tree
  double descriptors = 0;
  double tasks = 0;
};

struct SoakRecord {
  std::vector<SoakSample> samples;
  double replies_per_s = 0;
  std::string failure;  // what ended it before its time; empty: nothing
};

// From the middle third of the time to its last third, medians of both: by the middle, caches and pools have
// their size.
struct SoakGrowth {
  double memory_bytes_per_request = 0;
  double memory_bytes = 0;
  double descriptors = 0;
  double tasks = 0;
};
// REQUIRES: at least six samples.
SoakGrowth growth_of(const SoakRecord& record);

// Why the candidate grows where the baseline does not: a sentence each, empty when it does not. Memory: 20 bytes a
// request more than the baseline and 256 KiB at least; descriptors and tasks: 16 more.
std::vector<std::string> grows(const SoakGrowth& baseline, const SoakGrowth& candidate);

nlohmann::json to_json(const SoakRecord& record);

}  // namespace bakeoff
