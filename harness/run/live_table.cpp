#include "harness/run/live_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "results/ranking.h"

namespace bakeoff {

void LiveTable::add(const Cell& cell, const Trial& trial) {
  const auto [place, is_new] = places_.emplace(cell.id, cells_.size());
  std::vector<Trial> trials;
  if (is_new) {
    cells_.emplace_back();
  } else {
    trials = std::move(cells_[place->second].trials);
  }
  trials.push_back(trial);
  cells_[place->second] = summarise(cell, trials, rules_);
}

std::vector<std::string> LiveTable::lines(std::size_t most) const {
  std::set<std::pair<std::string, std::string>> entries;
  for (const CellResult& cell : cells_) entries.emplace(contest_of(cell.cell), cell.cell.server);
  std::vector<const CellResult*> best;
  for (const auto& [contest, server] : entries) {
    if (const CellResult* cell = best_cell(cells_, server, by_, contest)) best.push_back(cell);
  }
  if (best.empty() || most < 2) return {};
  const MetricName& name = name_of(by_);
  std::stable_sort(best.begin(), best.end(), [&](const CellResult* a, const CellResult* b) {
    const double first = a->summary[by_].median.value_or(0), second = b->summary[by_].median.value_or(0);
    return name.better == Better::less ? first < second : first > second;
  });
  std::vector<std::string> lines = {
      fmt::format("best so far by {}{}{}", name.group, *name.group == '\0' ? "" : ".", name.name)};
  const std::size_t shown = std::min(best.size(), most - 1);
  for (std::size_t i = 0; i < shown; ++i) {
    const Figure& figure = best[i]->summary[by_];
    const std::string interval =
        figure.lower && figure.upper ? fmt::format("{:.4g} .. {:.4g}", *figure.lower, *figure.upper) : "";
    lines.push_back(fmt::format("  {:>10.4g}  {:<22}  {:>3} trials  {}", figure.median.value_or(0), interval, figure.n,
                                best[i]->cell.id));
  }
  return lines;
}

}  // namespace bakeoff
