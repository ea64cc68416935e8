#include "results/ranking.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace bakeoff {
namespace {

constexpr double alpha = 0.05;

bool less_is_better(Metric metric) { return name_of(metric).better == Better::less; }

// By block, the logarithm of the figure of the trial that counts; what is not positive has none.
std::map<std::uint32_t, double> by_block(const CellResult& cell, Metric by) {
  std::map<std::uint32_t, double> logarithms;
  for (const Trial& trial : cell.trials) {
    const auto& value = trial.figures[by];
    if (trial.counted && value && *value > 0) logarithms[trial.key.block] = std::log(*value);
  }
  return logarithms;
}

std::vector<double> differences(const std::map<std::uint32_t, double>& from,
                                const std::map<std::uint32_t, double>& to) {
  std::vector<double> all;
  for (const auto& [block, value] : from) {
    if (const auto found = to.find(block); found != to.end()) all.push_back(found->second - value);
  }
  return all;
}

std::vector<Best> rank_contest(const std::vector<const CellResult*>& cells, Metric by, const std::string& contest) {
  const double sign = less_is_better(by) ? -1 : 1;
  const std::size_t count = cells.size();
  std::vector<std::map<std::uint32_t, double>> logarithms;
  for (const CellResult* cell : cells) {
    // Fresh trials are compared with fresh ones; where there are none, those of the sweep.
    const bool comparable = cell->is_final == cells.front()->is_final;
    logarithms.push_back(comparable ? by_block(*cell, by) : std::map<std::uint32_t, double>{});
  }

  struct Pair {
    std::size_t a, b;
  };
  std::vector<Pair> pairs;
  std::vector<double> p_values;
  for (std::size_t a = 0; a < count; ++a) {
    for (std::size_t b = a + 1; b < count; ++b) {
      pairs.push_back({a, b});
      p_values.push_back(p_so_far(differences(logarithms[a], logarithms[b])));
    }
  }
  std::vector<std::size_t> ahead(count, 0), behind(count, 0);
  const std::vector<bool> told_apart = holm_rejects(p_values, alpha);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (!told_apart[i]) continue;
    const auto [a, b] = pairs[i];
    const bool second_is_ahead =
        sign * location_of(differences(logarithms[a], logarithms[b]), alpha, alpha).estimate > 0;
    ++ahead[second_is_ahead ? a : b];  // servers that are ahead of it
    ++behind[second_is_ahead ? b : a];
  }

  std::vector<Best> ranking;
  for (std::size_t i = 0; i < count; ++i) {
    Best best{cells[i]->cell.server,
              cells[i]->cell.id,
              contest,
              static_cast<std::uint32_t>(1 + ahead[i]),
              static_cast<std::uint32_t>(count - behind[i]),
              {}};
    const std::vector<double> from_first = differences(logarithms[0], logarithms[i]);
    if (i > 0 && !from_first.empty()) {
      // Bonferroni over all pairs: then it does not matter that the first was found by the same figures.
      const double each = alpha / 2 / static_cast<double>(pairs.size());
      const Location location = location_of(from_first, each, each);
      best.of_first.n = static_cast<std::uint32_t>(from_first.size());
      best.of_first.median = std::exp(location.estimate);
      if (location.lower && location.upper) {
        best.of_first.lower = std::exp(*location.lower);
        best.of_first.upper = std::exp(*location.upper);
      }
    }
    ranking.push_back(std::move(best));
  }
  return ranking;
}

}  // namespace

const CellResult* best_cell(const std::vector<CellResult>& cells, const std::string& server, Metric by,
                            const std::string& contest) {
  const auto belongs = [&](const CellResult& cell) {
    return cell.cell.server == server && contest_of(cell.cell) == contest;
  };
  const bool confirmed =
      std::any_of(cells.begin(), cells.end(), [&](const CellResult& cell) { return belongs(cell) && cell.is_final; });
  const double sign = less_is_better(by) ? -1 : 1;
  const CellResult* best = nullptr;
  for (const CellResult& cell : cells) {
    if (!belongs(cell) || !cell.valid || cell.is_final != confirmed || !cell.summary[by].median) continue;
    if (best == nullptr || sign * *cell.summary[by].median > sign * *best->summary[by].median) best = &cell;
  }
  return best;
}

std::vector<Best> rank(const std::vector<CellResult>& cells, Metric by) {
  const double sign = less_is_better(by) ? -1 : 1;
  std::vector<Best> ranking;
  for (const std::string& contest : contests(cells)) {
    std::vector<const CellResult*> winners;
    std::set<std::string> seen;
    for (const CellResult& cell : cells) {
      if (!seen.insert(cell.cell.server).second) continue;
      if (const CellResult* best = best_cell(cells, cell.cell.server, by, contest)) winners.push_back(best);
    }
    std::stable_sort(winners.begin(), winners.end(), [&](const CellResult* a, const CellResult* b) {
      return sign * *a->summary[by].median > sign * *b->summary[by].median;
    });
    const std::vector<Best> some = rank_contest(winners, by, contest);
    ranking.insert(ranking.end(), some.begin(), some.end());
  }
  return ranking;
}

std::uint32_t blocks_needed(std::size_t servers) {
  const double pairs = std::max(1.0, static_cast<double>(servers * (servers - 1)) / 2);
  std::uint32_t blocks = 1;
  while (std::pow(0.5, static_cast<double>(blocks)) * 2 > alpha / pairs) ++blocks;
  return blocks;
}

}  // namespace bakeoff
