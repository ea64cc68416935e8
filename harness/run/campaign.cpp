#include "harness/run/campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "core/base/errors.h"
#include "harness/plan/plan.h"
#include "harness/run/run_folder.h"
#include "harness/run/tuner.h"
#include "harness/run/warm_up.h"
#include "results/peaks.h"
#include "results/ranking.h"

namespace bakeoff {
namespace {

std::vector<std::string> ids(const std::vector<Cell>& cells) {
  std::vector<std::string> all;
  for (const Cell& cell : cells) all.push_back(cell.id);
  return all;
}

std::string name_of_trial(const TrialKey& key) { return (key.phase == Phase::final ? "again " : "") + key.cell_id; }

// A figure of which more is better, as the tuner takes it.
Figure as_gain(Figure figure, Metric metric) {
  if (name_of(metric).better != Better::less) return figure;
  const auto turned = [](const std::optional<double>& value) -> std::optional<double> {
    return value && *value > 0 ? std::optional(1 / *value) : std::nullopt;
  };
  return {turned(figure.median), turned(figure.upper), turned(figure.lower), figure.n};
}

}  // namespace

Cell at_rate(Cell cell, double rate) {
  cell.rate = rate;
  cell.load_model = "open";
  cell.variant = "rate=" + rate_text(rate) + (cell.variant.empty() ? "" : "/" + cell.variant);
  cell.id = cell.server + "/connections=" + std::to_string(cell.connections) +
            "/workers=" + std::to_string(cell.workers) + "/" + cell.variant;
  return cell;
}

const char* command_of(Search search) {
  switch (search) {
    case Search::full: return "run";
    case Search::tuned: return "tune";
    case Search::peak: return "peak";
  }
  return "?";
}

CellRules rules_of(const Specification& spec) { return {spec.validity, spec.slo, spec.drift}; }

Campaign::Campaign(const Specification& spec, std::vector<Cell> cells, std::vector<Trial> there, Search search)
    : spec_(spec), search_(search), planned_(std::move(cells)), trials_(std::move(there)) {
  if (search_ == Search::peak) {
    for (const ServerSpec& server : spec.servers) {
      if (!server.rates.empty())
        throw UsageError(server.where + ": rates: they are what is looked for; leave them out");
    }
  } else {
    for (const Cell& cell : planned_) add_cell(cell);
  }
  for (const Trial& trial : trials_) {
    if (!by_id_.count(trial.key.cell_id) && !add_searched(trial.key.cell_id))
      throw UsageError("there is a trial of " + trial.key.cell_id + ", which the specification does not have");
    repeats_ += trial.attempt > 0 ? 1 : 0;
  }
}

std::vector<TrialKey> Campaign::sweep() const {
  return search_ == Search::peak ? std::vector<TrialKey>{}
                                 : interleave(ids(planned_), Phase::sweep, spec_.sweep_trials, spec_.seed);
}

std::size_t Campaign::steps() const {
  if (search_ == Search::peak)  // about: the path decides
    return planned_.size() * (spec_.peak.answers + 2 * spec_.final_trials);
  std::set<std::pair<std::string, std::string>> entries;
  for (const Cell& cell : planned_) entries.emplace(cell.server, contest_of(cell));
  const std::size_t sweeps = planned_.size() * spec_.sweep_trials;
  return (search_ == Search::tuned ? sweeps / 3 : sweeps) + entries.size() * spec_.final_trials;
}

std::size_t Campaign::steps_done() const {
  std::set<TrialKey> keys;
  for (const Trial& trial : trials_) keys.insert(trial.key);
  return keys.size();
}

void Campaign::run(TrialSource& source, const std::vector<WarmUp>& warm_ups, Progress& progress,
                   const std::function<void(Trial)>& keep, const std::function<void(const std::string&)>& note) {
  LiveTable live(ranking_metric(spec_), rules_of(spec_));
  if (progress.table_lines() > 0) {
    for (const Trial& trial : trials_) live.add(by_id_.at(trial.key.cell_id), trial);
  }
  Context context{source, warm_ups, progress, live, keep, note};
  switch (search_) {
    case Search::peak: seek_peaks(context); return;
    case Search::tuned: tune(context); break;
    case Search::full: run_all(context, sweep()); break;
  }
  if (spec_.final_trials > 0) measure_again(context);
}

void Campaign::measure_again(Context& context) {
  const std::vector<CellResult> results = sweep_results();
  std::vector<std::string> winners;
  std::set<std::pair<std::string, std::string>> entries;
  for (const Cell& cell : planned_) entries.emplace(contest_of(cell), cell.server);
  for (const auto& [contest, server] : entries) {
    if (const CellResult* best = best_cell(results, server, ranking_metric(spec_), contest)) {
      winners.push_back(best->cell.id);
    } else {
      context.progress.say(server + (contest.empty() ? "" : " with " + contest) +
                           ": no valid cell, nothing to measure again");
    }
  }
  run_all(context, interleave(winners, Phase::final, spec_.final_trials, spec_.seed));
}

void Campaign::add_cell(const Cell& cell) {
  if (by_id_.try_emplace(cell.id, cell).second) cells_.push_back(cell);
}

// The cell that an earlier search for the peak made, from its id. False for any other id.
bool Campaign::add_searched(const std::string& id) {
  const std::size_t at = id.find("/rate=");
  if (search_ != Search::peak || at == std::string::npos) return false;
  const double rate = std::strtod(id.c_str() + at + 6, nullptr);
  for (const Cell& base : planned_) {
    const Cell cell = at_rate(base, rate);
    if (cell.id != id) continue;
    add_cell(cell);
    return true;
  }
  return false;
}

// Whether the cell was sustained in the trial of that block; empty: it stayed void.
std::optional<bool> Campaign::answer_of(const Cell& cell, std::uint32_t block) const {
  std::vector<Trial> attempts;
  std::copy_if(trials_.begin(), trials_.end(), std::back_inserter(attempts), [&](const Trial& trial) {
    return trial.key == TrialKey{Phase::sweep, block, cell.id};
  });
  if (outcomes(attempts).empty()) return std::nullopt;
  return summarise(cell, attempts, rules_of(spec_)).valid;
}

// In each block every search whose peak is not known well enough asks about one rate, and one fresh trial answers; in
// the end the peak and twice its rate are measured with fresh trials. A resumed search takes the same path again.
void Campaign::seek_peaks(Context& context) {
  searches_.assign(planned_.size(), PeakSearch(spec_.peak));
  for (std::uint32_t block = 0;; ++block) {
    std::vector<std::string> wanted;
    std::map<std::size_t, Cell> tried;
    for (std::size_t i = 0; i < searches_.size(); ++i) {
      const auto rate = searches_[i].next();
      if (!rate) continue;
      const Cell cell = at_rate(planned_[i], *rate);
      add_cell(cell);
      wanted.push_back(cell.id);
      tried.emplace(i, cell);
    }
    if (wanted.empty()) break;
    run_all(context, one_block(wanted, Phase::sweep, block, spec_.seed));
    std::string path;
    for (const auto& [i, cell] : tried) searches_[i].judge(*cell.rate, answer_of(cell, block));
    for (std::size_t i = 0; i < searches_.size(); ++i) path += planned_[i].id + ": " + searches_[i].path() + "\n";
    context.note(path);
  }
  std::vector<std::string> again;
  for (const Peak& peak : peaks()) {
    context.progress.say(peak_words(peak));
    for (const std::string& id : {peak.measured_cell, peak.overload_cell}) {
      if (!id.empty() && add_searched(id)) again.push_back(id);
    }
  }
  run_all(context, interleave(again, Phase::final, spec_.final_trials, spec_.seed));
}

std::vector<Peak> Campaign::peaks() const {
  std::vector<Peak> all;
  for (std::size_t i = 0; i < searches_.size(); ++i) {
    const PeakEstimate found = searches_[i].estimate();
    Peak peak{planned_[i].id, found.answers, found.rate, found.lower, found.upper, found.within_tolerance, "", ""};
    if (found.rate && spec_.final_trials > 0) {
      peak.measured_cell = at_rate(planned_[i], *found.rate).id;
      if (const double twice = round_rate(2 * *found.rate); twice <= spec_.peak.most)
        peak.overload_cell = at_rate(planned_[i], twice).id;
    }
    all.push_back(std::move(peak));
  }
  return all;
}

void Campaign::tune(Context& context) {
  Tuner tuner(planned_, spec_.ceiling_difference);
  std::map<std::string, Figure> known;
  std::set<std::string> asked;
  std::string path;
  for (;;) {
    const std::vector<std::string> wanted = tuner.next(known);
    for (const std::string& line : tuner.decisions()) {
      context.progress.say(line);
      path += line + "\n";
    }
    context.note(path);
    if (wanted.empty()) return;
    run_all(context, interleave(wanted, Phase::sweep, spec_.sweep_trials, spec_.seed));
    asked.insert(wanted.begin(), wanted.end());
    for (const CellResult& cell : sweep_results()) {
      // A resumed search may have more than it asked for so far: it must not know that yet, or it would take
      // another path.
      if (!asked.contains(cell.cell.id)) continue;
      const Metric by = ranking_metric(spec_);
      known[cell.cell.id] = cell.valid ? as_gain(cell.summary[by], by) : Figure{};
    }
  }
}

std::vector<Trial> Campaign::sweep_trials() const {
  std::vector<Trial> some;
  std::copy_if(trials_.begin(), trials_.end(), std::back_inserter(some),
               [](const Trial& trial) { return trial.key.phase == Phase::sweep; });
  return some;
}

std::vector<CellResult> Campaign::sweep_results() const {
  const std::vector<Trial> measured = sweep_trials();
  std::vector<CellResult> results;
  for (const Cell& cell : planned_) results.push_back(summarise(cell, measured, rules_of(spec_)));
  return results;
}

void Campaign::run_all(Context& context, const std::vector<TrialKey>& keys) {
  // The last attempt at each trial that is there already.
  std::map<TrialKey, const Trial*> last;
  for (const Trial& trial : trials_) {
    const Trial*& found = last[trial.key];
    if (found == nullptr || found->attempt <= trial.attempt) found = &trial;
  }
  struct Left {
    TrialKey key;
    std::uint32_t attempt;
  };
  std::vector<Left> left;
  for (const TrialKey& key : keys) {
    const auto found = last.find(key);
    if (found == last.end()) {
      left.push_back({key, 0});
    } else if (!found->second->void_causes.empty()) {
      left.push_back({key, found->second->attempt + 1});  // its repeat was pending
    }
  }
  const auto may_repeat = [&](std::uint32_t attempt) {
    return attempt <= spec_.repeats &&
           static_cast<double>(repeats_) < spec_.repeat_share * static_cast<double>(steps());
  };
  std::erase_if(left, [&](const Left& one) { return one.attempt > 0 && !may_repeat(one.attempt); });
  // What runs together: the trials of a block where they take turns, else one.
  const std::size_t together = takes_turns(spec_) && search_ != Search::peak ? most_in_turns : 1;
  for (std::size_t first = 0, end = 0; first < left.size(); first = end) {
    while (end < left.size() && end - first < together && left[end].key.block == left[first].key.block) ++end;
    std::vector<Left> now(left.begin() + static_cast<std::ptrdiff_t>(first),
                          left.begin() + static_cast<std::ptrdiff_t>(end));
    while (!now.empty()) {
      std::vector<TrialToRun> trials;
      for (const Left& one : now) {
        repeats_ += one.attempt > 0 ? 1 : 0;
        const Cell& cell = by_id_.at(one.key.cell_id);
        trials.push_back({&context.source, cell, one.key, one.attempt, warm_up_of(cell, context.warm_ups, spec_)});
      }
      now.clear();
      for (Trial& trial : run_together(context, trials, together > 1)) {
        const bool again = !trial.void_causes.empty() && may_repeat(trial.attempt + 1);
        if (again) now.push_back({trial.key, trial.attempt + 1});
        keep(context, std::move(trial), again);
      }
    }
  }
}

std::vector<Trial> Campaign::run_together(Context& context, const std::vector<TrialToRun>& trials, bool in_turns) {
  const TrialToRun& first = trials.front();
  context.progress.begin(trials.size() > 1
                             ? fmt::format("block {}: {} servers in turns", first.key.block + 1, trials.size())
                             : name_of_trial(first.key));
  if (in_turns) return run_in_turns(spec_, trials, true);
  std::vector<Trial> one;
  one.push_back(first.source->run(first.cell, first.key, first.attempt, first.warmup_s));
  return one;
}

void Campaign::keep(Context& context, Trial trial, bool again) {
  const Cell& cell = by_id_.at(trial.key.cell_id);
  if (again) context.progress.add_steps(1);
  context.progress.end(name_of_trial(trial.key) + ": " + outcome_words(trial, spec_.validity) +
                       (again ? ", repeated" : ""));
  context.keep(trial);
  trials_.push_back(lean(std::move(trial)));
  if (const std::size_t lines = context.progress.table_lines(); lines > 0) {
    context.live.add(cell, trials_.back());
    context.progress.show(context.live.lines(lines));
  }
}

ExperimentResult make_result(const Specification& spec, const std::vector<Cell>& cells,
                             const std::vector<Trial>& trials, const std::vector<WarmUp>& warm_ups,
                             const nlohmann::json& environment) {
  ExperimentResult result;
  result.name = spec.name;
  result.spec_sha256 = spec.sha256;
  result.ranked_by = ranking_metric(spec);
  result.also_ranked_by = spec.also_rank_by;
  result.turn_s = spec.turn_s;
  result.warm_ups = warm_ups;
  result.environment = environment;
  for (const Cell& cell : cells) result.cells.push_back(summarise(cell, trials, rules_of(spec)));
  result.best = rank(result.cells, result.ranked_by);
  return result;
}

std::string outcome_words(const Trial& trial, const ValidityLimits& limits) {
  std::string words;
  if (const auto& mbps = trial.figures[Metric::throughput_mbps]) words = fmt::format("{:.0f} Mbit/s", *mbps);
  const auto add = [&](const std::string& text) { words += (words.empty() ? "" : ", ") + text; };
  for (const std::string& cause : trial.void_causes) add("void: " + cause);
  for (const std::string& failure : trial.failures) add(failure);
  if (trial.counts && trial.failures.empty()) {
    for (const BrokenRule& rule : broken_rules(*trial.counts, limits)) add(rule.text);
  }
  return words;
}

}  // namespace bakeoff
