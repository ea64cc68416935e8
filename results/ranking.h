// Which server is ahead of which: by pairs of trials within blocks, so that what drifts from block to block falls out.
#pragma once

#include <string>
#include <vector>

#include "results/model.h"

namespace bakeoff {

// The server's best cell by `by`, among its valid ones in that contest. If cells were measured again with fresh trials,
// only these count: a winner whose fresh trials are not valid leaves its server without a best cell. Null when there
// is none.
const CellResult* best_cell(const std::vector<CellResult>& cells, const std::string& server, Metric by,
                            const std::string& contest = "");

// Ranks the servers of each contest by their best cells. Each pair of servers is compared by the blocks in which both
// have a trial that counts: Wilcoxon's exact signed-rank test of the logarithms of their ratios. Holm's correction
// bounds the chance of any wrong order within a contest by 5 %. A server ranks behind all that are shown to be ahead of
// it. If no cell was measured again, the trials of the sweep are compared.
std::vector<Best> rank(const std::vector<CellResult>& cells, Metric by);

// The blocks that a contest of so many servers needs before any two can be told apart.
std::uint32_t blocks_needed(std::size_t servers);

}  // namespace bakeoff
