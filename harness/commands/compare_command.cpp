// bakeoff compare: two builds of the same servers in the same blocks, judged by pairs; or, weaker, two stored results.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "core/base/errors.h"
#include "harness/commands/command_line.h"
#include "harness/run/experiment.h"
#include "harness/paired_trials.h"
#include "harness/plan/plan.h"
#include "harness/processes/processor_lock.h"
#include "harness/run/stored_result.h"
#include "results/comparison.h"
#include "results/stored_comparison.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

struct CompareSettings {
  std::string baseline, candidate;
  std::uint32_t pairs = 20;
  double threshold = 0;
  bool has_threshold = false;
  std::string by;
  bool strict = false;
  bool force = false;
  std::string json_file;
};

// A build's binaries: DIR itself or DIR/bin.
std::filesystem::path binaries_of(const std::string& build) {
  for (const std::filesystem::path& dir : {std::filesystem::path(build) / "bin", std::filesystem::path(build)}) {
    if (std::filesystem::is_directory(dir)) return std::filesystem::absolute(dir);
  }
  throw UsageError(build + " is no directory with a build's binaries");
}

const MetricName& metric_by_name(const std::string& name) {
  const MetricName* metric = find_metric(name);
  if (metric != nullptr && metric->better != Better::neither) return *metric;
  std::string known;
  for (const MetricName& one : metric_table) {
    if (one.better != Better::neither) known += (known.empty() ? "" : ", ") + path_of(one);
  }
  throw UsageError("bakeoff compare: --by " + name + ": expected one of " + known);
}

nlohmann::json to_json(const Comparison& comparison) {
  return {{"pairs", comparison.pairs},
          {"ratio", comparison.ratio},
          {"lower", comparison.lower},
          {"upper", comparison.upper},
          {"p_slower", comparison.p_slower},
          {"threshold", comparison.threshold},
          {"verdict", to_string(comparison.verdict)},
          {"why", comparison.why}};
}

void say(const std::string& what, const Comparison& comparison, const char* unit) {
  std::fprintf(stderr, "%s: %s: candidate/baseline %.3f (%.3f .. %.3f) over %u %s; %s\n", what.c_str(),
               to_string(comparison.verdict), comparison.ratio, comparison.lower, comparison.upper, comparison.pairs,
               unit, comparison.why.c_str());
}

int conclude(const Comparison& verdict, nlohmann::json report, const CompareSettings& settings) {
  report["verdict"] = to_string(verdict.verdict);
  if (settings.json_file == "-") {
    std::cout << report.dump(1) << std::endl;
  } else if (!settings.json_file.empty()) {
    std::ofstream out(settings.json_file);
    out << report.dump(1) << "\n";
    if (!out.flush()) throw StartError("cannot write " + settings.json_file);
  }
  if (verdict.verdict == Verdict::regressed) return exit_status::policy_failed;
  return verdict.verdict == Verdict::undecided && settings.strict ? exit_status::undecided : exit_status::fine;
}

std::string most_common(const std::map<std::string, std::uint32_t>& reasons) {
  const auto most = std::max_element(reasons.begin(), reasons.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == reasons.end() ? "" : most->first;
}

int compare_builds(Reactor& reactor, Specification spec, CompareSettings settings) {
  const MetricName& by = metric_by_name(settings.by.empty() ? "replies_per_s" : settings.by);
  // What the ceiling is there for falls out of a pair: the time is better spent on more pairs.
  if (by.metric != Metric::relative_to_ceiling && by.metric != Metric::cpu_relative_to_ceiling) spec.ceiling_s = 0;
  const std::vector<Cell> cells = plan_cells(spec, load_workload(spec.workload, spec.workload_overrides).name);
  Programs baseline(reactor, binaries_of(settings.baseline)), candidate(reactor, binaries_of(settings.candidate));
  baseline.check(spec);
  candidate.check(spec);
  const Materials materials(reactor, spec, cells);
  const Placement placement = place(spec);
  const ProcessorLock lock(measured_processors(placement));
  TrialRunner baseline_runner(baseline, spec, materials, placement),
      candidate_runner(candidate, spec, materials, placement);
  for (TrialRunner* runner : {&baseline_runner, &candidate_runner}) {
    for (const Cell& cell : cells) runner->verify(cell);
  }

  PairedTrials trials(cells, baseline_runner, candidate_runner, by, spec.seed);
  const std::size_t steps = std::size_t{settings.pairs} * PairedTrials::trials_per_cell * cells.size();
  Progress progress(steps, expected_trial_s(spec));
  const PairedTrials::Ratios ratios = trials.run(settings.pairs, progress);
  const double floor = noise_floor(ratios.self);
  const double threshold = settings.has_threshold ? settings.threshold : floor;
  Comparison verdict = compare_pairs(ratios.candidate, threshold);
  nlohmann::json report = {{"schema_version", 1},
                           {"evidence", "interleaved"},
                           {"baseline", baseline.dir().string()},
                           {"candidate", candidate.dir().string()},
                           {"experiment", spec.name},
                           {"by", path_of(by)},
                           {"noise_floor", floor},
                           {"first", to_json(verdict)},
                           {"unsteady_trials", ratios.unsteady},
                           {"trials", ratios.trials}};
  for (const auto& [id, some] : ratios.by_cell) report["cells"][id] = to_json(compare_pairs(some, threshold));
  if (verdict.pairs < least_pairs && !ratios.left_out.empty())
    verdict.why += "; most trials that did not count: " + most_common(ratios.left_out);
  if (verdict.verdict == Verdict::regressed) {
    // An alarm that a second look does not confirm was chance.
    progress.say("it looks worse; measuring again before that is believed");
    progress.add_steps(steps);
    const Comparison again = compare_pairs(trials.run(settings.pairs, progress).candidate, threshold);
    report["second"] = to_json(again);
    if (again.verdict == Verdict::regressed) {
      verdict = again;
    } else {
      verdict.verdict = Verdict::undecided;
      verdict.why = "worse at first, yet not when measured again";
    }
  }
  if (ratios.unsteady > 0)
    progress.say("throughput was still changing in " + std::to_string(ratios.unsteady) + " of the " +
                 std::to_string(ratios.trials.size()) + " trials: the machine's doing, or too short a warm-up");
  progress.finish();
  say(spec.name + " by " + path_of(by), verdict, "pairs");
  return conclude(verdict, std::move(report), settings);
}

bool all_have(const ExperimentResult& result, Metric metric) {
  return std::all_of(result.cells.begin(), result.cells.end(),
                     [&](const CellResult& cell) { return !cell.valid || cell.summary[metric].median; });
}

int compare_results(const std::string& before, const std::string& after, const CompareSettings& settings) {
  const ExperimentResult baseline = read_result(before), candidate = read_result(after);
  const std::vector<std::string> differences = environment_differences(baseline, candidate);
  if (!differences.empty() && !settings.force) {
    std::string all;
    for (const std::string& one : differences) all += (all.empty() ? "" : "; ") + one;
    throw UsageError(before + " and " + after + " were not measured under the same conditions (" + all +
                     "); --force compares them nevertheless");
  }
  std::string name = settings.by;
  // What was measured at different times is compared by what was measured beside it, where that is there.
  if (name.empty())
    name = all_have(baseline, Metric::relative_to_ceiling) && all_have(candidate, Metric::relative_to_ceiling)
               ? "relative_to_ceiling"
               : "replies_per_s";
  const MetricName& by = metric_by_name(name);
  constexpr double stored_threshold = 0.05;  // no pairs, no noise floor: what drifted between the runs is in the ratio
  const StoredComparison comparison =
      compare_stored(baseline, candidate, by, settings.has_threshold ? settings.threshold : stored_threshold);
  nlohmann::json report = {{"schema_version", 1},         {"evidence", "stored"},
                           {"baseline", before},          {"candidate", after},
                           {"experiment", baseline.name}, {"by", path_of(by)},
                           {"differences", differences},  {"first", to_json(comparison.all)}};
  for (const auto& [id, one] : comparison.cells) {
    report["cells"][id] = to_json(one);
    say("  " + id, one, "cell");
  }
  for (const std::string& one : differences) std::fprintf(stderr, "differs: %s\n", one.c_str());
  std::fprintf(stderr,
               "stored results, measured at different times: weaker than `bakeoff compare --baseline BUILD --candidate "
               "BUILD SPEC`\n");
  say(baseline.name + " by " + path_of(by), comparison.all, "cells");
  return conclude(comparison.all, std::move(report), settings);
}

}  // namespace

int compare_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  CompareSettings settings;
  options.add_options()("baseline", po::value(&settings.baseline)->value_name("DIR"),
                        "the build to be measured against: a directory of binaries")(
      "candidate", po::value(&settings.candidate)->value_name("DIR"), "the build in question")(
      "pairs", po::value(&settings.pairs)->value_name("N")->default_value(settings.pairs),
      "blocks, each with two trials of either build of every cell")(
      "by", po::value(&settings.by)->value_name("FIGURE"),
      "the figure that is compared, as result.json calls it (default: replies_per_s; of stored results "
      "relative_to_ceiling)")("threshold", po::value(&settings.threshold)->value_name("SHARE"),
                              "the least change that matters, 0.05 for 5 % (default: what equal builds differ by here "
                              "and now; of stored results 0.05)")("strict", po::bool_switch(&settings.strict),
                                                                  "exit status 3 when undecided")(
      "force", po::bool_switch(&settings.force), "compare stored results of different environments nevertheless")(
      "json", po::value(&settings.json_file)->value_name("FILE"), "write the comparison there; - for standard output");
  po::variables_map given;
  if (!read_options("compare", arguments, options, 2, given)) return exit_status::fine;
  settings.has_threshold = given.count("threshold") != 0;
  if (settings.has_threshold && !(settings.threshold >= 0 && settings.threshold < 1)) {
    throw UsageError("bakeoff compare: --threshold: expected a share from 0 to 1, 0.05 for 5 %");
  }
  const std::string first = word(given, 0, "compare", "two builds and a specification, or the folders of two runs");
  const bool has_second = given["words"].as<std::vector<std::string>>().size() > 1;
  if (settings.baseline.empty() && settings.candidate.empty()) {
    if (!has_second)
      throw UsageError("bakeoff compare: expected --baseline DIR and --candidate DIR, or the folders of two runs");
    return compare_results(first, word(given, 1, "compare", "a second run"), settings);
  }
  if (settings.baseline.empty() || settings.candidate.empty())
    throw UsageError("bakeoff compare: expected --baseline DIR and --candidate DIR");
  if (has_second) throw UsageError("bakeoff compare: too many words; with two builds it takes one specification");
  if (settings.pairs < least_pairs)
    throw UsageError("bakeoff compare: --pairs " + std::to_string(settings.pairs) + ": no verdict is possible below " +
                     std::to_string(least_pairs));
  return compare_builds(reactor, load_specification(first), settings);
}

}  // namespace bakeoff
