#include "harness/run/pair_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/run/campaign.h"
#include "harness/run/turns.h"
#include "harness/run/warm_up.h"

namespace bakeoff {
namespace {

nlohmann::json or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

// Side by side the two builds need no ceiling, unless a figure is a share of it.
bool guards_the_ceiling(const std::vector<Guard>& guards) {
  return std::any_of(guards.begin(), guards.end(), [](const Guard& guard) {
    return guard.metric.metric == Metric::relative_to_ceiling || guard.metric.metric == Metric::cpu_relative_to_ceiling;
  });
}

}  // namespace

std::vector<std::uint32_t> looks(std::uint32_t most) {
  std::vector<std::uint32_t> all;
  for (std::uint32_t at = first_look; at < most; at += at / 2) all.push_back(at);
  all.push_back(std::max(most, 1u));
  return all;
}

nlohmann::json to_json(const Judgement& judgement) {
  return {{"cell", judgement.cell},
          {"by", path_of(judgement.guard.metric)},
          {"margin", judgement.guard.margin},
          {"pairs", judgement.pairs},
          {"missing", judgement.missing},
          {"ratio", or_null(judgement.ratio)},
          {"lower", or_null(judgement.lower)},
          {"upper", or_null(judgement.upper)},
          {"verdict", to_string(judgement.verdict)}};
}

PairComparison::PairComparison(const Specification& spec, std::vector<Cell> cells, TrialSource& baseline,
                               TrialSource& candidate, std::vector<Guard> guards)
    : spec_(spec), cells_(std::move(cells)), baseline_(baseline), candidate_(candidate), guards_(std::move(guards)) {}

// Empty when it is void.
std::optional<Trial> PairComparison::keep(Trial trial, const char* role, bool again, Progress& progress,
                                          PairOutcome& outcome) const {
  const bool is_void = !trial.void_causes.empty();
  if (again) progress.add_steps(1);
  progress.end(std::string(role) + " " + trial.key.cell_id + ": " + outcome_words(trial, spec_.validity) +
               (again ? ", repeated" : ""));
  trial.evidence = nullptr;
  nlohmann::json kept = to_json(trial);
  kept["role"] = role;
  outcome.trials.push_back(std::move(kept));
  outcome.void_trials += is_void ? 1 : 0;
  return is_void ? std::nullopt : std::optional(std::move(trial));
}

PairComparison::Pair PairComparison::measure(const Cell& cell, bool candidate_first, double warmup_s,
                                             Progress& progress, PairOutcome& outcome) {
  const TrialKey key{Phase::sweep, outcome.blocks, cell.id};
  const auto may_repeat = [&](std::uint32_t attempt) { return attempt < spec_.repeats; };
  const auto is_void = [](const Trial& trial) { return !trial.void_causes.empty(); };
  if (takes_turns(spec_)) {
    for (std::uint32_t attempt = 0;; ++attempt) {
      progress.begin("both builds in turns: " + cell.id);
      std::vector<Trial> both =
          run_in_turns(spec_, {{&baseline_, cell, key, attempt, warmup_s}, {&candidate_, cell, key, attempt, warmup_s}},
                       guards_the_ceiling(guards_));
      const bool again = (is_void(both[0]) || is_void(both[1])) && may_repeat(attempt);
      Pair pair;
      pair.baseline = keep(std::move(both[0]), "baseline", again, progress, outcome);
      pair.candidate = keep(std::move(both[1]), "candidate", again, progress, outcome);
      if (!again) return pair;
    }
  }
  const auto one = [&](TrialSource& source, const char* role) {
    for (std::uint32_t attempt = 0;; ++attempt) {
      progress.begin(std::string(role) + " " + cell.id);
      Trial trial = source.run(cell, key, attempt, warmup_s);
      const bool again = is_void(trial) && may_repeat(attempt);
      std::optional<Trial> kept = keep(std::move(trial), role, again, progress, outcome);
      if (!again) return kept;
    }
  };
  Pair pair;
  if (candidate_first) pair.candidate = one(candidate_, "candidate");
  pair.baseline = one(baseline_, "baseline");
  if (!candidate_first) pair.candidate = one(candidate_, "candidate");
  return pair;
}

void PairComparison::note_look(const Gate& gate, PairOutcome& outcome) const {
  nlohmann::json cells = nlohmann::json::array();
  for (const Judgement& judgement : gate.judgements()) cells.push_back(to_json(judgement));
  outcome.looks.push_back({{"blocks", outcome.blocks}, {"verdict", to_string(gate.verdict())}, {"cells", cells}});
}

PairOutcome PairComparison::run(double budget_s, const std::vector<WarmUp>& warm_ups, Progress& progress) {
  PairOutcome outcome;
  std::vector<std::string> ids;
  for (const Cell& cell : cells_) ids.push_back(cell.id);
  Gate gate(ids, guards_, spec_.validity);
  Random random(spec_.seed, 0x706169);
  const double begun_s = baseline_.now_s();
  const auto spent_s = [&] { return baseline_.now_s() - begun_s; };
  std::uint32_t most = 0;  // blocks that the budget is good for; known after the first
  std::vector<std::uint32_t> look_at;
  std::size_t next_look = 0;
  for (bool over = false; !over;) {
    std::vector<Cell> open;
    const std::set<std::string> open_ids = gate.open_cells();
    std::copy_if(cells_.begin(), cells_.end(), std::back_inserter(open),
                 [&](const Cell& cell) { return open_ids.contains(cell.id); });
    for (std::size_t left = open.size(); left > 1; --left)
      std::swap(open[left - 1], open[random.below(static_cast<std::uint32_t>(left))]);
    for (const Cell& cell : open) {
      // Which of the two comes first is left to chance: that is what makes the signed-rank test exact.
      const bool candidate_first = random.below(2) == 1;
      const Pair pair = measure(cell, candidate_first, warm_up_of(cell, warm_ups, spec_), progress, outcome);
      if (pair.baseline && pair.candidate) {
        gate.add(cell.id, *pair.baseline, *pair.candidate);
      } else {
        ++outcome.lost_pairs;
      }
    }
    ++outcome.blocks;
    const double block_s = spent_s() / outcome.blocks;
    if (most == 0) {
      most = static_cast<std::uint32_t>(std::clamp(budget_s / block_s, 1.0, 1e6));
      look_at = looks(most);
    }
    over = outcome.blocks >= most || spent_s() + block_s > budget_s;
    // All figures were fine at a look, and now enough trials ran without a failure.
    if (gate.verdict() == Verdict::fine) break;
    if (!over && outcome.blocks < look_at[next_look]) continue;
    ++next_look;
    gate.look(over ? 1 : static_cast<double>(outcome.blocks) / most);
    note_look(gate, outcome);
    outcome.baseline_failure = gate.baseline_failure();
    over = over || gate.verdict() != Verdict::undecided || !outcome.baseline_failure.empty();
  }
  outcome.verdict = gate.verdict();
  outcome.why = gate.why();
  outcome.judgements = gate.judgements();
  outcome.spent_s = spent_s();
  if (const auto factor = gate.times_as_many(); outcome.verdict == Verdict::undecided && factor && *factor > 1)
    outcome.needs_s = outcome.spent_s * (*factor - 1);
  return outcome;
}

}  // namespace bakeoff
