// What a slow disk's cache is filled with before anybody asks.
#pragma once

#include <cstdint>
#include <vector>

#include "workloads/workload.h"

namespace bakeoff {

// What is in memory after a long time of serving: files as they are asked for, until cache_bytes are reached (0: all).
// They are read in an order of chance, since by then the oldest page is anybody's, not the most popular file's.
std::vector<std::uint32_t> files_in_memory(const Workload& workload, std::uint64_t cache_bytes, std::uint64_t seed);

}  // namespace bakeoff
