#include "harness/run/warm_up.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace bakeoff {
namespace {

double mean(const std::vector<double>& values, std::size_t from, std::size_t to) {
  return std::accumulate(values.begin() + static_cast<std::ptrdiff_t>(from),
                         values.begin() + static_cast<std::ptrdiff_t>(to), 0.0) /
         static_cast<double>(to - from);
}

double last_quarter_over_third(const std::vector<double>& series) {
  const std::size_t quarter = series.size() / 4;
  const double third = mean(series, series.size() - 2 * quarter, series.size() - quarter);
  return third > 0 ? mean(series, series.size() - quarter, series.size()) / third : 0;
}

}  // namespace

bool needs_pilot(const Specification& spec) { return spec.longest_warmup_s > spec.warmup_s; }

std::vector<Cell> pilot_cells(const std::vector<Cell>& cells) {
  std::vector<Cell> chosen;
  for (const Cell& cell : cells) {
    const auto found = std::find_if(chosen.begin(), chosen.end(), [&](const Cell& one) {
      return one.server == cell.server && contest_of(one) == contest_of(cell);
    });
    if (found == chosen.end()) {
      chosen.push_back(cell);
    } else if (std::pair(cell.connections, cell.workers) > std::pair(found->connections, found->workers)) {
      *found = cell;
    }
  }
  return chosen;
}

Settling settling_of(const std::vector<std::vector<double>>& series, double drift) {
  std::vector<double> average;
  std::size_t used = 0, rising = 0;
  for (const std::vector<double>& one : series) {
    const double level = one.empty() ? 0 : mean(one, one.size() / 2, one.size());
    if (level <= 0) continue;  // it sent nothing: there is nothing to settle
    average.resize(std::max(average.size(), one.size()), 0.0);
    for (std::size_t i = 0; i < one.size(); ++i) average[i] += one[i] / level;
    ++used;
    rising += last_quarter_over_third(one) > 1 ? 1 : 0;
  }
  if (used == 0) return {};
  for (double& value : average) value /= static_cast<double>(used);
  Settling settling;
  settling.share = static_cast<double>(settled_after(average)) / static_cast<double>(average.size());
  // Noise goes up in one pilot and down in another; what has not settled goes one way in all.
  const bool one_way = rising == 0 || rising == used;
  settling.settled = !one_way || std::fabs(last_quarter_over_third(average) - 1) <= drift;
  return settling;
}

std::vector<WarmUp> find_warm_ups(const Specification& spec, const std::vector<Cell>& cells,
                                  const std::vector<TrialSource*>& sources, Progress& progress) {
  std::vector<WarmUp> warm_ups;
  const double length_s = 2 * spec.longest_warmup_s;
  for (const Cell& cell : pilot_cells(cells)) {
    const std::string contest = contest_of(cell);
    auto found =
        std::find_if(warm_ups.begin(), warm_ups.end(), [&](const WarmUp& one) { return one.contest == contest; });
    if (found == warm_ups.end()) found = warm_ups.insert(warm_ups.end(), {contest, spec.warmup_s, "", {}});
    for (TrialSource* source : sources) {
      std::vector<std::vector<double>> series;
      for (std::uint32_t number = 0; number < pilot_repeats; ++number) {
        progress.begin("pilot " + cell.id);
        series.push_back(source->pilot(cell, number, length_s));
        progress.end("pilot " + cell.id);
      }
      const Settling settling = settling_of(series, spec.drift);
      const double seconds = std::clamp(settling.share * length_s, spec.warmup_s, spec.longest_warmup_s);
      if (found->slowest.empty() || seconds > found->seconds) {
        found->seconds = seconds;
        found->slowest = cell.server;
      }
      if (!settling.settled &&
          std::find(found->unsettled.begin(), found->unsettled.end(), cell.server) == found->unsettled.end())
        found->unsettled.push_back(cell.server);
    }
    if (!found->unsettled.empty()) found->seconds = spec.longest_warmup_s;
  }
  return warm_ups;
}

double warm_up_of(const Cell& cell, const std::vector<WarmUp>& warm_ups, const Specification& spec) {
  // A search for the peak chooses rates that no pilot had; its pilots had none.
  Cell without_rate = cell;
  without_rate.rate.reset();
  for (const std::string& contest : {contest_of(cell), contest_of(without_rate)}) {
    for (const WarmUp& one : warm_ups) {
      if (one.contest == contest) return one.seconds;
    }
  }
  return spec.warmup_s;
}

}  // namespace bakeoff
