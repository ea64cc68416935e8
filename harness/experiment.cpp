#include "harness/experiment.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "core/errors.h"
#include "harness/environment.h"
#include "harness/latency.h"
#include "harness/materials.h"
#include "harness/plan.h"
#include "harness/progress.h"
#include "harness/trial_runner.h"
#include "harness/tuner.h"
#include "results/tables.h"

namespace bakeoff {
namespace {

using nlohmann::json;

// A server's start and end, the client's start, the ceiling's warm-up: what a trial takes beside its own times.
constexpr double trial_overhead_s = 0.4;

// One cell of each server configuration: how much load there is does not change what is served.
std::vector<const Cell*> cells_to_verify(const std::vector<Cell>& cells) {
  std::vector<const Cell*> chosen;
  std::set<std::string> seen;
  for (const Cell& cell : cells) {
    std::string configuration = cell.server + "/" + contest_of(cell);
    for (const auto& [key, value] : cell.options) {
      if (key != "connections") configuration += "/" + key + "=" + value;
    }
    if (seen.insert(configuration).second) chosen.push_back(&cell);
  }
  return chosen;
}

void verify_all(TrialRunner& runner, const std::vector<Cell>& cells, const Materials& materials) {
  const std::vector<const Cell*> chosen = cells_to_verify(cells);
  Progress progress(chosen.size(), 1);
  for (const Cell* cell : chosen) {
    const std::string name = cell->server + (cell->variant.empty() ? "" : " with " + cell->variant);
    progress.begin("verifying " + name);
    runner.verify(*cell);
    progress.end("verified " + name + ": " + std::to_string(materials.of(*cell).workload.files.size()) + " files");
  }
}

class Run {
 public:
  Run(Programs& programs, const Specification& spec, RunFolder& folder, Search search)
      : programs_(programs),
        spec_(spec),
        search_(search),
        folder_(folder),
        cells_(plan_cells(spec, load_workload(spec.workload, spec.workload_overrides).name)),
        trials_(folder.read_trials()) {
    for (const Cell& cell : cells_) by_id_[cell.id] = &cell;
    for (const Trial& trial : trials_) {
      if (!by_id_.count(trial.key.cell_id)) {
        throw UsageError(folder.path().string() + ": it has a trial of " + trial.key.cell_id + ", which the specification does not have");
      }
    }
  }

  ExperimentResult run() {
    const Placement placement = place(spec_);
    note_environment(placement);
    const std::vector<TrialKey> sweep = interleave(ids(cells_), Phase::sweep, spec_.sweep_trials, spec_.seed);
    note_plan(sweep);
    try {
      const Materials materials(programs_.reactor(), spec_, cells_);
      TrialRunner runner(programs_, spec_, materials, placement);
      verify_all(runner, cells_, materials);
      measure(runner, sweep);
    } catch (...) {
      // What ended the run must not hide behind what came of saving it.
      try {
        write_result(false);
      } catch (const std::exception&) {
      }
      throw;
    }
    return write_result(true);
  }

 private:
  static std::vector<std::string> ids(const std::vector<Cell>& cells) {
    std::vector<std::string> all;
    for (const Cell& cell : cells) all.push_back(cell.id);
    return all;
  }

  void note_environment(const Placement& placement) {
    environment_ = capture_environment(spec_, programs_, placement);
    const std::filesystem::path file = folder_.path() / "environment.json";
    if (trials_.empty() || !std::filesystem::exists(file)) {
      folder_.write("environment.json", environment_.dump(2) + "\n");
      return;
    }
    // Trials of two builds or two machines in one result would be a comparison of nothing.
    FILE* in = std::fopen(file.c_str(), "rb");
    const json before = in == nullptr ? json() : json::parse(in, nullptr, false);
    if (in != nullptr) std::fclose(in);
    for (const char* part : {"binaries", "kernel", "cpu", "processors", "placement"}) {
      if (!before.is_object() || before.value(part, json()) != environment_.at(part)) {
        throw UsageError(folder_.path().string() + ": since its first trials the " + part + " changed; begin a new run");
      }
    }
    environment_ = before;
  }

  void note_plan(const std::vector<TrialKey>& sweep) {
    json cells = json::array(), order = json::array();
    for (const Cell& cell : cells_) {
      cells.push_back({{"id", cell.id}, {"server", cell.server}, {"architecture", cell.architecture}, {"options", cell.options},
                       {"connections", cell.connections}, {"workers", cell.workers}, {"rate", cell.rate ? json(*cell.rate) : json(nullptr)}, {"workload_set", cell.workload_set}});
    }
    for (const TrialKey& key : sweep) order.push_back({{"block", key.block}, {"cell", key.cell_id}});
    folder_.write("plan.json", json{{"schema_version", result_schema_version}, {"name", spec_.name}, {"search", search_ == Search::tuned ? "tuned" : "full"}, {"cells", cells}, {"sweep", order}, {"final_trials", spec_.final_trials}}.dump(1) + "\n");
  }

  void measure(TrialRunner& runner, const std::vector<TrialKey>& sweep) {
    std::set<std::string> servers;
    for (const Cell& cell : cells_) servers.insert(cell.server);
    const std::size_t finals = servers.size() * contests(make_result(spec_, cells_, {}, {}).cells).size() * spec_.final_trials;
    planned_ = sweep.size() + finals;
    if (search_ == Search::tuned) planned_ = sweep.size() / 3 + finals;  // about: the path decides
    for (const Trial& trial : trials_) repeats_ += trial.attempt > 0 ? 1 : 0;
    const std::size_t left = planned_ - std::min(planned_, done().size());
    Progress progress(left, expected_trial_s(spec_));
    if (left < planned_) progress.say("going on: " + std::to_string(planned_ - left) + " of " + std::to_string(planned_) + " trials are there");
    if (search_ == Search::full) {
      run_all(runner, sweep, progress);
    } else {
      tune(runner, progress);
    }

    if (spec_.final_trials == 0) return;
    const std::vector<CellResult> results = make_result(spec_, cells_, sweep_trials(), environment_).cells;
    std::vector<std::string> winners;
    for (const std::string& contest : contests(results)) {
      for (const std::string& server : servers) {
        if (const CellResult* best = best_cell(results, server, contest)) {
          winners.push_back(best->cell.id);
        } else {
          progress.say(server + (contest.empty() ? "" : " with " + contest) + ": no valid cell, nothing to measure again");
        }
      }
    }
    run_all(runner, interleave(winners, Phase::final, spec_.final_trials, spec_.seed), progress);
  }

  // Trials that a resumed run finds are taken as they are, so it takes the same path again up to where it was.
  void tune(TrialRunner& runner, Progress& progress) {
    Tuner tuner(cells_, spec_.ceiling_difference);
    std::map<std::string, Figure> known;
    std::string path;
    for (;;) {
      const std::vector<std::string> wanted = tuner.next(known);
      for (const std::string& line : tuner.decisions()) {
        progress.say(line);
        path += line + "\n";
      }
      folder_.write("path.txt", path);
      if (wanted.empty()) return;
      run_all(runner, interleave(wanted, Phase::sweep, spec_.sweep_trials, spec_.seed), progress);
      for (const CellResult& cell : make_result(spec_, cells_, sweep_trials(), environment_).cells) {
        if (!cell.trials.empty()) known[cell.cell.id] = cell.valid ? ranking_figure(cell) : Figure{};
      }
    }
  }

  std::vector<Trial> sweep_trials() const {
    std::vector<Trial> some;
    std::copy_if(trials_.begin(), trials_.end(), std::back_inserter(some), [](const Trial& trial) { return trial.key.phase == Phase::sweep; });
    return some;
  }

  std::set<TrialKey> done() const {
    std::set<TrialKey> keys;
    for (const Trial& trial : trials_) keys.insert(trial.key);
    return keys;
  }

  void run_all(TrialRunner& runner, const std::vector<TrialKey>& keys, Progress& progress) {
    const std::set<TrialKey> there = done();
    for (const TrialKey& key : keys) {
      if (there.count(key)) continue;
      for (std::uint32_t attempt = 0;; ++attempt) {
        progress.begin((key.phase == Phase::final ? "again " : "") + key.cell_id);
        Trial trial = runner.run(*by_id_.at(key.cell_id), key, attempt);
        folder_.append(trial);
        trials_.push_back(trial);
        const bool again = !trial.steady && attempt < spec_.repeats && static_cast<double>(repeats_) < spec_.repeat_share * static_cast<double>(planned_);
        if (again) {
          ++repeats_;
          progress.add_steps(1);
        }
        progress.end((key.phase == Phase::final ? "again " : "") + key.cell_id + ": " + outcome_words(trial) + (again ? ", repeated" : ""));
        if (!again) break;
      }
    }
  }

  ExperimentResult write_result(bool complete) {
    ExperimentResult result = make_result(spec_, cells_, trials_, environment_);
    result.complete = complete;
    folder_.write("result.json", to_json(result).dump(1) + "\n");
    folder_.write("tables.txt", matrices(result) + "\n" + ranking(result));
    return result;
  }

  Programs& programs_;
  const Specification& spec_;
  Search search_;
  RunFolder& folder_;
  std::vector<Cell> cells_;
  std::map<std::string, const Cell*> by_id_;
  std::vector<Trial> trials_;
  json environment_;
  std::size_t planned_ = 0;
  std::size_t repeats_ = 0;
};

}  // namespace

double expected_trial_s(const Specification& spec) { return spec.warmup_s + spec.duration_s + spec.ceiling_s + trial_overhead_s; }

std::size_t expected_trials(const Specification& spec, std::size_t cells) {
  std::size_t contests = 1;
  for (const auto& [key, values] : spec.workload_axes) contests *= values.size();
  return cells * spec.sweep_trials + contests * spec.servers.size() * spec.final_trials;
}

double expected_run_s(const Specification& spec, std::size_t cells) { return expected_trial_s(spec) * static_cast<double>(expected_trials(spec, cells)); }

ExperimentResult make_result(const Specification& spec, const std::vector<Cell>& cells, const std::vector<Trial>& trials, const json& environment) {
  ExperimentResult result;
  result.name = spec.name;
  result.spec_sha256 = spec.sha256;
  result.environment = environment;
  for (const Cell& cell : cells) {
    result.cells.push_back(summarise(cell, trials));
    use_merged_percentiles(result.cells.back());
  }
  result.best = rank(result.cells);
  return result;
}

std::string outcome_words(const Trial& trial) {
  std::string words;
  char text[128];
  if (const auto& mbps = trial.figures[Metric::throughput_mbps]) {
    std::snprintf(text, sizeof text, "%.0f Mbit/s", *mbps);
    words = text;
  }
  if (!trial.valid) {
    words += words.empty() ? "does not count: " : ", does not count: ";
    for (std::size_t i = 0; i < trial.reasons.size(); ++i) words += (i == 0 ? "" : "; ") + trial.reasons[i];
  }
  if (!trial.steady) {
    std::snprintf(text, sizeof text, " (the machine changed speed: ceiling %.0f then %.0f replies/s)", *trial.ceiling_before, *trial.ceiling_after);
    words += text;
  }
  return words;
}

ExperimentResult run_experiment(Programs& programs, const Specification& spec, RunFolder& folder, Search search) {
  return Run(programs, spec, folder, search).run();
}

void verify_experiment(Programs& programs, const Specification& spec) {
  const std::vector<Cell> cells = plan_cells(spec, load_workload(spec.workload, spec.workload_overrides).name);
  const Materials materials(programs.reactor(), spec, cells);
  Specification without_ceiling = spec;
  without_ceiling.ceiling_s = 0;
  TrialRunner runner(programs, without_ceiling, materials, place(spec));
  verify_all(runner, cells, materials);
}

}  // namespace bakeoff
