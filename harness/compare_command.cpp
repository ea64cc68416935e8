// bakeoff compare: two builds of the same servers in the same blocks, judged by pairs.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include "core/errors.h"
#include "harness/command_line.h"
#include "harness/experiment.h"
#include "harness/materials.h"
#include "harness/plan.h"
#include "harness/progress.h"
#include "harness/trial_runner.h"
#include "results/comparison.h"
#include "workloads/random.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

// A build's binaries: DIR itself or DIR/bin.
std::filesystem::path binaries_of(const std::string& build) {
  for (const std::filesystem::path& dir : {std::filesystem::path(build) / "bin", std::filesystem::path(build)}) {
    if (std::filesystem::is_directory(dir)) return std::filesystem::absolute(dir);
  }
  throw UsageError(build + " is no directory with a build's binaries");
}

// baseline, the baseline again, candidate: each once a block for each cell.
constexpr std::size_t roles = 3;
constexpr const char* role_names[roles] = {"baseline", "baseline again", "candidate"};

class PairedTrials {
 public:
  PairedTrials(const Specification& spec, std::vector<Cell> cells, TrialRunner& baseline, TrialRunner& candidate)
      : spec_(spec), cells_(std::move(cells)), runners_{&baseline, &baseline, &candidate} {}

  struct Ratios {
    std::vector<double> candidate;  // over the baseline, one a block: the geometric mean over cells
    std::vector<double> self;       // the baseline over itself
    std::map<std::string, std::vector<double>> by_cell;
  };

  // One pair a block. A block in which a trial does not count is left out.
  Ratios run(std::uint32_t blocks, Progress& progress) {
    Ratios ratios;
    for (std::uint32_t i = 0; i < blocks; ++i, ++block_) {
      double candidate_log = 0, self_log = 0;
      bool whole = true;
      std::map<std::string, double> cell_ratios;
      for (const TrialKey& key : interleave(ids(), Phase::sweep, block_ + 1, spec_.seed)) {
        if (key.block != block_) continue;
        const auto figures = measure(key, progress);
        if (!figures) {
          whole = false;
          continue;
        }
        candidate_log += std::log((*figures)[2] / (*figures)[0]);
        self_log += std::log((*figures)[1] / (*figures)[0]);
        cell_ratios[key.cell_id] = (*figures)[2] / (*figures)[0];
      }
      if (!whole) continue;
      ratios.candidate.push_back(std::exp(candidate_log / static_cast<double>(cells_.size())));
      ratios.self.push_back(std::exp(self_log / static_cast<double>(cells_.size())));
      for (const auto& [id, ratio] : cell_ratios) ratios.by_cell[id].push_back(ratio);
    }
    return ratios;
  }

 private:
  std::vector<std::string> ids() const {
    std::vector<std::string> all;
    for (const Cell& cell : cells_) all.push_back(cell.id);
    return all;
  }

  // The three roles of one cell, right after one another in random order: what a pair shares it shares best so.
  std::optional<std::array<double, roles>> measure(const TrialKey& key, Progress& progress) {
    std::array<std::size_t, roles> order = {0, 1, 2};
    for (std::size_t left = roles; left > 1; --left) std::swap(order[left - 1], order[random_.below(static_cast<std::uint32_t>(left))]);
    std::array<double, roles> figures{};
    bool counts = true;
    const Cell& cell = *std::find_if(cells_.begin(), cells_.end(), [&](const Cell& one) { return one.id == key.cell_id; });
    for (const std::size_t role : order) {
      progress.begin(std::string(role_names[role]) + " " + cell.id);
      const Trial trial = runners_[role]->run(cell, key, 0);
      progress.end(std::string(role_names[role]) + " " + cell.id + ": " + outcome_words(trial));
      const auto& figure = trial.figures[spec_.ceiling_s > 0 ? Metric::relative_to_ceiling : Metric::throughput_mbps];
      counts = counts && trial.valid && figure && *figure > 0;
      figures[role] = figure.value_or(0);
    }
    return counts ? std::optional(figures) : std::nullopt;
  }

  const Specification& spec_;
  std::vector<Cell> cells_;
  std::array<TrialRunner*, roles> runners_;
  std::uint32_t block_ = 0;
  Random random_{spec_.seed, 0x706169};
};

nlohmann::json to_json(const Comparison& comparison) {
  return {{"pairs", comparison.pairs}, {"ratio", comparison.ratio}, {"lower", comparison.lower}, {"upper", comparison.upper},
          {"p_slower", comparison.p_slower}, {"threshold", comparison.threshold}, {"verdict", to_string(comparison.verdict)}, {"why", comparison.why}};
}

void say(const char* what, const Comparison& comparison) {
  std::fprintf(stderr, "%s: %s: candidate/baseline %.3f (%.3f .. %.3f) over %u pairs; %s\n", what, to_string(comparison.verdict), comparison.ratio, comparison.lower,
               comparison.upper, comparison.pairs, comparison.why.c_str());
}

}  // namespace

int compare_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  std::string baseline_build, candidate_build, json_file;
  std::uint32_t pairs = 10;
  double threshold = 0;
  bool strict = false;
  options.add_options()("baseline", po::value(&baseline_build), "the build to be measured against: a directory of binaries")(
      "candidate", po::value(&candidate_build), "the build in question")("pairs", po::value(&pairs)->default_value(pairs), "blocks, each with one pair of every cell")(
      "threshold", po::value(&threshold), "the least change that matters, 0.05 for 5 % (default: what the baseline differs from itself by)")(
      "strict", po::bool_switch(&strict), "exit status 3 when undecided")("json", po::value(&json_file), "write the comparison there; - for standard output");
  po::variables_map given;
  if (!read_options("compare", arguments, options, 1, given)) return exit_status::fine;
  if (baseline_build.empty() || candidate_build.empty()) throw UsageError("bakeoff compare: expected --baseline DIR and --candidate DIR");
  if (pairs < least_pairs) throw UsageError("bakeoff compare: --pairs " + std::to_string(pairs) + ": no verdict is possible below " + std::to_string(least_pairs));
  if (threshold < 0 || threshold >= 1) throw UsageError("bakeoff compare: --threshold: expected a share from 0 to 1, 0.05 for 5 %");

  const Specification spec = load_specification(word(given, 0, "compare", "an experiment's name or file"));
  const std::vector<Cell> cells = plan_cells(spec, load_workload(spec.workload, spec.workload_overrides).name);
  Programs baseline(reactor, binaries_of(baseline_build)), candidate(reactor, binaries_of(candidate_build));
  baseline.check(spec);
  candidate.check(spec);
  const Materials materials(reactor, spec, cells);
  const Placement placement = place(spec);
  TrialRunner baseline_runner(baseline, spec, materials, placement), candidate_runner(candidate, spec, materials, placement);
  for (TrialRunner* runner : {&baseline_runner, &candidate_runner}) {
    for (const Cell& cell : cells) runner->verify(cell);
  }

  PairedTrials trials(spec, cells, baseline_runner, candidate_runner);
  Progress progress(std::size_t{pairs} * roles * cells.size(), expected_trial_s(spec));
  const PairedTrials::Ratios ratios = trials.run(pairs, progress);
  if (given.count("threshold") == 0) threshold = noise_floor(ratios.self);
  Comparison verdict = compare_pairs(ratios.candidate, threshold);
  nlohmann::json report = {{"schema_version", 1}, {"baseline", baseline.dir().string()}, {"candidate", candidate.dir().string()}, {"experiment", spec.name}, {"first", to_json(verdict)}};
  for (const auto& [id, some] : ratios.by_cell) report["cells"][id] = to_json(compare_pairs(some, threshold));
  if (verdict.verdict == Verdict::regressed) {
    // An alarm that a second look does not confirm was chance.
    progress.say("it looks slower; measuring again before that is believed");
    progress.add_steps(std::size_t{pairs} * roles * cells.size());
    const Comparison again = compare_pairs(trials.run(pairs, progress).candidate, threshold);
    report["second"] = to_json(again);
    if (again.verdict != Verdict::regressed) {
      verdict.verdict = Verdict::undecided;
      verdict.why = "slower at first, yet not when measured again";
    } else {
      verdict = again;
    }
  }
  report["verdict"] = to_string(verdict.verdict);
  say(spec.name.c_str(), verdict);
  if (json_file == "-") {
    std::cout << report.dump(1) << std::endl;
  } else if (!json_file.empty()) {
    std::ofstream out(json_file);
    out << report.dump(1) << "\n";
    if (!out.flush()) throw StartError("cannot write " + json_file);
  }
  if (verdict.verdict == Verdict::regressed) return exit_status::policy_failed;
  return verdict.verdict == Verdict::undecided && strict ? exit_status::undecided : exit_status::fine;
}

}  // namespace bakeoff
