// The best cell of each server so far, for who watches a run. The tables at the end judge; this one does not.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "results/model.h"
#include "results/summary.h"

namespace bakeoff {

class LiveTable {
 public:
  LiveTable(Metric by, CellRules rules) : by_(by), rules_(std::move(rules)) {}

  // A trial that has ended, which is lean (run_folder.h).
  void add(const Cell& cell, const Trial& trial);

  // A heading and a line a server, the best first: at most so many lines. Empty before the first valid cell.
  std::vector<std::string> lines(std::size_t most) const;

 private:
  Metric by_;
  CellRules rules_;
  std::map<std::string, std::size_t> places_;  // in cells_, by the cell's id
  std::vector<CellResult> cells_;
};

}  // namespace bakeoff
