#include "harness/paired_trials.h"

#include <array>
#include <cmath>
#include <optional>

#include "harness/run/experiment.h"

namespace bakeoff {
namespace {

constexpr const char* role_names[] = {"baseline", "candidate"};

std::optional<double> goodness(const Trial& trial, const MetricName& by) {
  const auto& figure = trial.figures[by.metric];
  if (!figure || *figure <= 0) return std::nullopt;
  return by.better == Better::less ? 1 / *figure : *figure;
}

}  // namespace

PairedTrials::PairedTrials(std::vector<Cell> cells, TrialRunner& baseline, TrialRunner& candidate, const MetricName& by,
                           std::uint64_t seed)
    : cells_(std::move(cells)), runners_{&baseline, &candidate}, by_(by), random_(seed, 0x706169) {}

void PairedTrials::measure(const Cell& cell, Block& block, Progress& progress, Ratios& ratios) {
  // A drift that is straight over the four falls out of the ratio whichever comes first, and which does is left to chance:
  // that is what makes the sign-flip test exact.
  const std::size_t first = random_.below(2);
  const std::array<std::size_t, trials_per_cell> order = {first, 1 - first, 1 - first, first};
  std::array<std::vector<double>, 2> logs;
  for (const std::size_t role : order) {
    const std::string name = std::string(role_names[role]) + " " + cell.id;
    progress.begin(name);
    const Trial trial = runners_[role]->run(cell, {Phase::sweep, next_block_, cell.id}, 0);
    progress.end(name + ": " + outcome_words(trial));
    const auto figure = goodness(trial, by_);
    const auto& shown = trial.figures[by_.metric];
    ratios.trials.push_back({{"block", next_block_},
                             {"cell", cell.id},
                             {"role", role_names[role]},
                             {"valid", trial.valid},
                             {"steady", trial.steady},
                             {"reasons", trial.reasons},
                             {"figure", shown ? nlohmann::json(*shown) : nlohmann::json()}});
    for (const std::string& reason : trial.reasons) ++ratios.left_out[reason];
    if (trial.valid && !figure) ++ratios.left_out[path_of(by_) + " could not be had"];
    block.counts = block.counts && trial.valid && figure;
    ratios.unsteady += trial.steady ? 0 : 1;
    if (figure) logs[role].push_back(std::log(*figure));
  }
  if (!block.counts) return;
  const double ratio = (logs[1][0] + logs[1][1] - logs[0][0] - logs[0][1]) / 2;
  block.candidate += ratio;
  block.baseline_self += logs[0][1] - logs[0][0];
  block.candidate_self += logs[1][1] - logs[1][0];
  block.by_cell[cell.id] = std::exp(ratio);
}

void PairedTrials::add(const Block& block, Ratios& ratios) const {
  const auto mean_ratio = [&](double sum) { return std::exp(sum / static_cast<double>(cells_.size())); };
  ratios.candidate.push_back(mean_ratio(block.candidate));
  ratios.self.push_back(mean_ratio(block.baseline_self));
  ratios.self.push_back(mean_ratio(block.candidate_self));
  for (const auto& [id, ratio] : block.by_cell) ratios.by_cell[id].push_back(ratio);
}

PairedTrials::Ratios PairedTrials::run(std::uint32_t blocks, Progress& progress) {
  Ratios ratios;
  const std::uint32_t most = blocks + blocks / 2;
  for (std::uint32_t done = 0; done < most && ratios.candidate.size() < blocks; ++done, ++next_block_) {
    for (std::size_t left = cells_.size(); left > 1; --left)
      std::swap(cells_[left - 1], cells_[random_.below(static_cast<std::uint32_t>(left))]);
    Block block;
    for (const Cell& cell : cells_) measure(cell, block, progress, ratios);
    if (block.counts) {
      add(block, ratios);
    } else if (done + 1 < most) {
      progress.add_steps(trials_per_cell * cells_.size());  // what is asked for is `blocks`; this one was one more
    }
  }
  return ratios;
}

}  // namespace bakeoff
