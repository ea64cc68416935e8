// Which cells an experiment has, and in which order their trials are run.
#pragma once

#include <vector>

#include "harness/plan/specification.h"
#include "results/model.h"

namespace bakeoff {

// The matrix servers x rates x workload axes x option axes x connections x workers, less what is excluded, plus what is
// included. UsageError when it is empty or enormous.
std::vector<Cell> plan_cells(const Specification& spec, const std::string& workload_name);

// One trial of each cell, in an order that the seed and the block's number decide.
std::vector<TrialKey> one_block(std::vector<std::string> cell_ids, Phase phase, std::uint32_t block,
                                std::uint64_t seed);

// One trial of each cell a block, in an order drawn anew for each block: whatever drifts meets all cells alike.
std::vector<TrialKey> interleave(const std::vector<std::string>& cell_ids, Phase phase, std::uint32_t blocks,
                                 std::uint64_t seed);

// The client is one process: it must be able to open the connections. UsageError when one of `cells` asks for more,
// with how many it may have and what a server would need.
void check_descriptors(const std::vector<Cell>& cells);

}  // namespace bakeoff
