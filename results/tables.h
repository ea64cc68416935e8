// Results as text, for a terminal or a file.
#pragma once

#include <string>
#include <vector>

#include "results/model.h"

namespace bakeoff {

struct TableStyle {
  bool colour = false;      // bold best cells, dim invalid ones
  std::size_t width = 100;  // of the ranking, in characters: columns that matter less are left out; 0: none is
};

// What every figure of the tables is, in one sentence.
extern const char* const estimator_sentence;

// How the trials of a block were run; empty: one after another.
std::string turns_sentence(const ExperimentResult& result);

// A figure as the head of a column, and in a sentence: "of ceiling", "the share of the ceiling's rate".
std::string figure_head(Metric metric);
std::string figure_words(Metric metric);

// For each server the matrix of the ranking figure (connections x workers), its best cell marked with *, invalid cells
// in brackets with their reasons below.
std::string matrices(const ExperimentResult& result, const TableStyle& style = {});

// Columns of text under their heads, the first `to_the_left` of them aligned to the left, the others to the right.
std::string plain_table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows,
                        std::size_t to_the_left, const TableStyle& style = {});

// One line a server, best first: its best cell, the ranking figure, its ratio to the first server's, throughput,
// latency, the server's CPU time per reply, with intervals. Servers without a valid cell come last with the reason.
std::string ranking(const ExperimentResult& result, const TableStyle& style = {});

// One line a cell that was measured on a slow disk or with delay accounting: what its processors and tasks did while
// others waited for the disk. Empty when there is no such cell.
std::string waits(const ExperimentResult& result, const TableStyle& style = {});

// All of them, with empty lines between.
std::string tables(const ExperimentResult& result, const TableStyle& style = {});

// A micro-experiment has no clients: its cells' workload begins with this.
constexpr const char* micro_workload = "micro: ";
bool is_micro(const ExperimentResult& result);

// Of a micro-experiment: one line for each system and number of tasks, in their order.
std::string scaling(const ExperimentResult& result, const TableStyle& style = {});

}  // namespace bakeoff
