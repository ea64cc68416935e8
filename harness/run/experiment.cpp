#include "harness/run/experiment.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "core/base/errors.h"
#include "harness/machine/environment.h"
#include "harness/latency.h"
#include "harness/ground/file_sets.h"
#include "harness/run/peak_search.h"
#include "harness/plan/plan.h"
#include "harness/processes/processor_lock.h"
#include "harness/machine/profile.h"
#include "harness/run/progress.h"
#include "harness/run/trial_runner.h"
#include "harness/run/tuner.h"
#include "results/tables.h"

namespace bakeoff {
namespace {

using nlohmann::json;

// A server's start and end, the client's start, the ceiling's warm-up: what a trial takes beside its own times.
constexpr double trial_overhead_s = 0.4;
constexpr std::size_t typical_peak_rates = 10;
// Mounting a disk, filling its cache and unmounting it.
constexpr double slow_disk_overhead_s = 0.8;

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
    if (search_ == Search::peak) {
      base_cells_ = std::exchange(cells_, {});
      for (const ServerSpec& server : spec.servers) {
        if (!server.rates.empty()) throw UsageError(server.where + ": rates: they are what is looked for; leave them out");
      }
    }
    for (const Cell& cell : cells_) by_id_[cell.id] = cell;
    for (const Trial& trial : trials_) {
      if (!by_id_.count(trial.key.cell_id) && !add_searched(trial.key.cell_id)) {
        throw UsageError(folder.path().string() + ": it has a trial of " + trial.key.cell_id + ", which the specification does not have");
      }
    }
  }

  ExperimentResult run() {
    const Placement placement = place(spec_);
    note_environment(placement);
    const ProcessorLock lock(measured_processors(placement));
    const std::vector<Cell>& planned = search_ == Search::peak ? base_cells_ : cells_;
    const std::vector<TrialKey> sweep = interleave(ids(cells_), Phase::sweep, spec_.sweep_trials, spec_.seed);
    note_plan(planned, sweep);
    try {
      const Materials materials(programs_.reactor(), spec_, planned);
      TrialRunner runner(programs_, spec_, materials, placement);
      verify_all(runner, planned, materials);
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

  void note_plan(const std::vector<Cell>& planned, const std::vector<TrialKey>& sweep) {
    json cells = json::array(), order = json::array();
    for (const Cell& cell : planned) {
      cells.push_back({{"id", cell.id}, {"server", cell.server}, {"architecture", cell.architecture}, {"options", cell.options},
                       {"connections", cell.connections}, {"workers", cell.workers}, {"rate", cell.rate ? json(*cell.rate) : json(nullptr)}, {"workload_set", cell.workload_set}});
    }
    for (const TrialKey& key : sweep) order.push_back({{"block", key.block}, {"cell", key.cell_id}});
    folder_.write("plan.json", json{{"schema_version", result_schema_version}, {"name", spec_.name}, {"scale", spec_.scale}, {"profile", spec_.profile}, {"search", command_of(search_)}, {"cells", cells}, {"sweep", order}, {"final_trials", spec_.final_trials}}.dump(1) + "\n");
  }

  void measure(TrialRunner& runner, const std::vector<TrialKey>& sweep) {
    std::set<std::string> servers;
    for (const Cell& cell : cells_) servers.insert(cell.server);
    const std::size_t finals = servers.size() * contests(make_result(spec_, cells_, {}, {}).cells).size() * spec_.final_trials;
    planned_ = sweep.size() + finals;
    if (search_ == Search::peak) planned_ = base_cells_.size() * (typical_peak_rates * spec_.peak_trials + 2 * spec_.final_trials);  // about: the path decides
    if (search_ == Search::tuned) planned_ = sweep.size() / 3 + finals;  // about: the path decides
    for (const Trial& trial : trials_) repeats_ += trial.attempt > 0 ? 1 : 0;
    const std::size_t left = planned_ - std::min(planned_, done().size());
    Progress progress(left, expected_trial_s(spec_));
    if (left < planned_) progress.say("going on: " + std::to_string(planned_ - left) + " of " + std::to_string(planned_) + " trials are there");
    if (search_ == Search::peak) {
      seek_peaks(runner, progress);
      return;
    }
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

  // A cell of the matrix under requests by a schedule: "sped/connections=64/workers=1/rate=4000".
  static Cell at_rate(Cell cell, double rate) {
    cell.rate = rate;
    cell.load_model = "open";
    cell.variant = "rate=" + rate_text(rate) + (cell.variant.empty() ? "" : "/" + cell.variant);
    cell.id = cell.server + "/connections=" + std::to_string(cell.connections) + "/workers=" + std::to_string(cell.workers) + "/" + cell.variant;
    return cell;
  }

  void add_cell(const Cell& cell) {
    if (by_id_.try_emplace(cell.id, cell).second) cells_.push_back(cell);
  }

  // The cell that an earlier search for the peak made, from its id. False when it is none of these.
  bool add_searched(const std::string& id) {
    const std::size_t at = id.find("/rate=");
    if (at == std::string::npos) return false;
    const double rate = std::strtod(id.c_str() + at + 6, nullptr);
    for (const Cell& base : base_cells_) {
      const Cell cell = at_rate(base, rate);
      if (cell.id != id) continue;
      add_cell(cell);
      return true;
    }
    return false;
  }

  // Each rate is judged by several fresh trials, those of all cells in the same blocks; in the end the peak and twice its rate
  // are measured with fresh trials. A resumed search takes the same path again.
  void seek_peaks(TrialRunner& runner, Progress& progress) {
    std::vector<PeakSearch> searches(base_cells_.size(), PeakSearch(spec_.peak));
    for (;;) {
      std::vector<std::string> wanted;
      std::map<std::size_t, Cell> tried;
      for (std::size_t i = 0; i < searches.size(); ++i) {
        const auto rate = searches[i].next();
        if (!rate) continue;
        const Cell cell = at_rate(base_cells_[i], *rate);
        add_cell(cell);
        wanted.push_back(cell.id);
        tried.emplace(i, cell);
      }
      if (wanted.empty()) break;
      run_all(runner, interleave(wanted, Phase::sweep, spec_.peak_trials, spec_.seed), progress);
      std::string path;
      for (const auto& [i, cell] : tried) searches[i].judge(*cell.rate, summarise(cell, sweep_trials()).valid);
      for (std::size_t i = 0; i < searches.size(); ++i) path += base_cells_[i].id + ": " + searches[i].path() + "\n";
      folder_.write("path.txt", path);
    }
    std::vector<std::string> again;
    for (std::size_t i = 0; i < searches.size(); ++i) {
      progress.say(base_cells_[i].id + ": " + searches[i].path());
      const auto peak = searches[i].peak();
      if (!peak) continue;
      for (const double rate : {*peak, round_rate(2 * *peak)}) {
        const Cell cell = at_rate(base_cells_[i], rate);
        add_cell(cell);
        again.push_back(cell.id);
      }
    }
    run_all(runner, interleave(again, Phase::final, spec_.final_trials, spec_.seed), progress);
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
        Trial trial = runner.run(by_id_.at(key.cell_id), key, attempt);
        folder_.append(trial);
        const bool again = !trial.steady && attempt < spec_.repeats && static_cast<double>(repeats_) < spec_.repeat_share * static_cast<double>(planned_);
        if (again) {
          ++repeats_;
          progress.add_steps(1);
        }
        progress.end((key.phase == Phase::final ? "again " : "") + key.cell_id + ": " + outcome_words(trial) + (again ? ", repeated" : ""));
        trials_.push_back(lean(std::move(trial)));
        if (!again) break;
      }
    }
  }

  ExperimentResult write_result(bool complete) {
    ExperimentResult result = make_result(spec_, cells_, trials_, environment_);
    result.complete = complete;
    folder_.write("result.json", to_json(result).dump(1) + "\n");
    folder_.write("tables.txt", tables(result) + profile_table(result) + peak_table(result));
    return result;
  }

  Programs& programs_;
  const Specification& spec_;
  Search search_;
  RunFolder& folder_;
  std::vector<Cell> cells_;
  std::vector<Cell> base_cells_;  // of a search for peaks, which makes cells_ as it goes
  std::map<std::string, Cell> by_id_;
  std::vector<Trial> trials_;
  json environment_;
  std::size_t planned_ = 0;
  std::size_t repeats_ = 0;
};

}  // namespace

double expected_trial_s(const Specification& spec) {
  return spec.warmup_s + spec.duration_s + spec.ceiling_s + trial_overhead_s + (has_slow_disk(spec) ? slow_disk_overhead_s : 0);
}

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

const char* command_of(Search search) {
  switch (search) {
    case Search::full: return "run";
    case Search::tuned: return "tune";
    case Search::peak: return "peak";
  }
  return "?";
}

std::string peak_table(const ExperimentResult& result) {
  // The peak and twice its rate are the two cells of a configuration that were measured again.
  std::map<std::string, std::vector<const CellResult*>> configurations;
  for (const CellResult& cell : result.cells) {
    if (!cell.is_final || !cell.cell.rate) continue;
    const std::string rate = "/rate=" + rate_text(*cell.cell.rate);
    std::string configuration = cell.cell.id;
    if (const std::size_t at = configuration.find(rate); at != std::string::npos) configuration.erase(at, rate.size());
    configurations[configuration].push_back(&cell);
  }
  std::string rows;
  for (auto& [name, cells] : configurations) {
    if (cells.size() != 2) continue;
    if (*cells[0]->cell.rate > *cells[1]->cell.rate) std::swap(cells[0], cells[1]);
    const auto figure = [&](std::size_t i, Metric metric) { return cells[i]->summary[metric].median.value_or(std::nan("")); };
    char row[256];
    const double peak = figure(0, Metric::replies_per_s), overload = figure(1, Metric::replies_per_s);
    std::snprintf(row, sizeof row, "  %-48s  %9.0f%s  %9.0f  %9.2f  %9.2f  %9.0f  %9.0f  %9.2f\n", name.c_str(), *cells[0]->cell.rate, cells[0]->valid ? " " : "?", peak,
                  figure(0, Metric::latency_p50_ms), figure(0, Metric::latency_p99_ms), *cells[1]->cell.rate, overload, overload / peak);
    rows += row;
  }
  if (rows.empty()) return "";
  char head[256];
  std::snprintf(head, sizeof head, "  %-48s  %10s  %9s  %9s  %9s  %9s  %9s  %9s\n", "", "peak rate", "replies/s", "p50 ms", "p99 ms", "overload", "replies/s", "retained");
  return "Highest rate sustained, and replies under twice that rate over those at the peak. ?: not sustained by the fresh trials.\n\n" + std::string(head) + rows;
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
  if (trial.evidence.is_object() && trial.evidence.contains("flags")) {
    for (const json& flag : trial.evidence["flags"]) words += " (" + flag.get<std::string>() + ")";
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
