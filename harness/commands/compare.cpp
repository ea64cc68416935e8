// bakeoff compare: two builds of the same servers in pairs of trials, until it is known whether one is worse; or,
// weaker, two stored results.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/commands/command_line.h"
#include "harness/commands/comparison_formats.h"
#include "harness/ground/network.h"
#include "harness/load/duration.h"
#include "harness/load/output_file.h"
#include "harness/plan/plan.h"
#include "harness/processes/processor_lock.h"
#include "harness/run/experiment.h"
#include "harness/run/feasibility.h"
#include "harness/run/pair_comparison.h"
#include "harness/run/soak.h"
#include "harness/run/stored_result.h"
#include "harness/run/trial_runner.h"
#include "harness/run/turns.h"
#include "harness/run/warm_up.h"
#include "results/comparison.h"
#include "results/stored_comparison.h"
#include "results/tables.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

constexpr double default_margin = 0.05;
constexpr const char* default_figures = "replies_per_s,replies_per_cpu_s";

struct CompareSettings {
  std::string baseline, candidate;
  std::string budget = "10min";
  double margin = default_margin;
  std::string by;
  std::string undecided = "fail";
  bool force = false;
  std::string json_file;
  std::string format;  // on standard output, instead of the table
  std::string soak;    // so long each server is looked at for growth; empty: not at all
};

// A build's binaries: DIR itself or DIR/bin.
std::filesystem::path binaries_of(const std::string& build) {
  for (const std::filesystem::path& dir : {std::filesystem::path(build) / "bin", std::filesystem::path(build)}) {
    if (std::filesystem::is_directory(dir)) return std::filesystem::absolute(dir);
  }
  throw UsageError(build + " is not a directory with a build's binaries");
}

void check_margin(const std::string& where, double margin) {
  if (margin > 0 && margin < 1) return;
  throw UsageError(
      fmt::format("bakeoff compare: {}: expected a share above 0 and below 1, 0.05 for 5 %, got {:g}", where, margin));
}

// "replies_per_cpu_s,latency_ms.p99:0.2": figures, each with a margin of its own where it has one.
std::vector<Guard> read_guards(const std::string& text, double margin) {
  std::vector<Guard> guards;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    const std::size_t colon = word.find(':');
    const std::string name = word.substr(0, colon);
    const MetricName* metric = find_metric(name);
    if (metric == nullptr || !can_be_guarded(*metric)) {
      std::string known;
      for (const MetricName& one : metric_table) {
        if (can_be_guarded(one)) known += (known.empty() ? "" : ", ") + path_of(one);
      }
      throw UsageError("bakeoff compare: --by " + name + ": expected one of " + known);
    }
    Guard guard{*metric, margin};
    if (colon != std::string::npos) {
      char* end = nullptr;
      guard.margin = std::strtod(word.c_str() + colon + 1, &end);
      if (end == word.c_str() + colon + 1 || *end != '\0')
        throw UsageError("bakeoff compare: --by " + word + ": expected FIGURE or FIGURE:MARGIN, as latency_ms.p99:0.2");
      check_margin("--by " + word, guard.margin);
    }
    const bool twice = std::any_of(guards.begin(), guards.end(),
                                   [&](const Guard& one) { return one.metric.metric == guard.metric.metric; });
    if (twice) throw UsageError("bakeoff compare: --by: " + name + " is there twice");
    guards.push_back(guard);
  }
  if (guards.empty()) throw UsageError("bakeoff compare: --by: expected figures, as replies_per_cpu_s,latency_ms.p99");
  return guards;
}

std::string names_of(const std::vector<Guard>& guards) {
  std::string names;
  for (const Guard& guard : guards) names += (names.empty() ? "" : ", ") + path_of(guard.metric);
  return names;
}

void print(const std::vector<Judgement>& judgements) {
  std::vector<std::vector<std::string>> rows;
  const auto number = [](const std::optional<double>& value) { return value ? fmt::format("{:.3f}", *value) : "-"; };
  for (const Judgement& one : judgements) {
    rows.push_back({one.cell, path_of(one.guard.metric), number(one.ratio), number(one.lower), number(one.upper),
                    fmt::format("{:.3g} %", one.guard.margin * 100), std::to_string(one.pairs),
                    to_string(one.verdict)});
  }
  std::fputs(plain_table({"cell", "figure", "cand./base", "at least", "at most", "margin", "pairs", "verdict"}, rows, 2)
                 .c_str(),
             stdout);
}

// The place for the JSON; it is looked at before anything is measured. StartError when it cannot be written.
std::optional<OutputFile> json_output(const CompareSettings& settings) {
  if (settings.json_file.empty()) return std::nullopt;
  return OutputFile(settings.json_file);
}

bool prints_table(const CompareSettings& settings) { return settings.format.empty() && settings.json_file != "-"; }

// Where it was asked to go. All that is known of the comparison is in the report. False when the file could not be
// written after all: that takes nothing else with it.
bool write_report(const nlohmann::json& report, const CompareSettings& settings,
                  const std::optional<OutputFile>& json) {
  for (const ComparisonFormat& format : comparison_formats()) {
    if (format.name == settings.format) std::cout << format.write(report) << std::flush;
  }
  try {
    if (json) json->write([&](std::ostream& out) { out << json_text(report, 1) << "\n"; });
    return true;
  } catch (const StartError& error) {
    std::fprintf(stderr, "bakeoff compare: %s\n", error.what());
    return false;
  }
}

// A figure that is often not there is no verdict's sound ground. Once, whatever the number of cells.
void warn_of_missing(const std::vector<Judgement>& judgements) {
  std::map<std::string, std::pair<std::uint32_t, std::uint32_t>> missing;  // by figure: of how many pairs
  for (const Judgement& one : judgements) {
    auto& [without, all] = missing[path_of(one.guard.metric)];
    without += one.missing;
    all += one.missing + one.pairs;
  }
  for (const auto& [figure, pairs] : missing) {
    if (pairs.first == 0) continue;
    std::fprintf(stderr,
                 "WARNING: %u of %u pairs have no %s: others took the harness's processor. Use longer trials (duration "
                 "in [load]) or a quieter machine.\n",
                 pairs.first, pairs.second, figure.c_str());
  }
}

int status_of(Verdict verdict, const CompareSettings& settings) {
  switch (verdict) {
    case Verdict::fine: return exit_status::fine;
    case Verdict::regressed: return exit_status::policy_failed;
    case Verdict::undecided: break;
  }
  return settings.undecided == "pass" ? exit_status::fine : exit_status::undecided;
}

void say_verdict(const std::string& what, const char* verdict, const std::string& why) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s: %s\n", what.c_str(), verdict, why.c_str());
}

// A server that is not right before anything is measured; empty when all are.
std::string verify_all(TrialRunner& runner, const std::vector<Cell>& cells) {
  try {
    for (const Cell& cell : cells) runner.verify(cell);
  } catch (const StartError& error) {
    return error.what();
  }
  return {};
}

// One cell of each server, under load for that time, of both builds. Returns how the candidate grows where the baseline
// does not; empty: it does not.
std::string soak_all(TrialRunner& baseline, TrialRunner& candidate, const std::vector<Cell>& cells, double soak_s,
                     nlohmann::json& report) {
  std::set<std::string> seen;
  std::string why;
  for (const Cell& cell : cells) {
    if (!seen.insert(cell.server).second) continue;
    std::fprintf(stderr, "soak: %s, %s of each build\n", cell.id.c_str(), duration_words(soak_s).c_str());
    const SoakRecord before = baseline.soak(cell, soak_s), after = candidate.soak(cell, soak_s);
    report["soak"].push_back({{"cell", cell.id}, {"baseline", to_json(before)}, {"candidate", to_json(after)}});
    if (!before.failure.empty()) throw StartError("soak: the baseline: " + cell.id + ": " + before.failure);
    std::vector<std::string> grown;
    if (!after.failure.empty()) {
      grown.push_back(after.failure);
    } else {
      grown = grows(growth_of(before), growth_of(after));
    }
    for (const std::string& one : grown) why += (why.empty() ? "" : "; ") + cell.id + ": " + one;
  }
  return why;
}

int compare_builds(Reactor& reactor, Specification spec, const CompareSettings& settings) {
  const std::vector<Guard> guards = read_guards(settings.by.empty() ? default_figures : settings.by, settings.margin);
  const double budget_s = static_cast<double>(parse_duration_ns("bakeoff compare: --budget", settings.budget)) * 1e-9;
  // What the ceiling is there for falls out of a pair: the time is better spent on more pairs.
  const bool by_ceiling = std::any_of(guards.begin(), guards.end(), [](const Guard& guard) {
    return guard.metric.metric == Metric::relative_to_ceiling || guard.metric.metric == Metric::cpu_relative_to_ceiling;
  });
  if (!by_ceiling) spec.ceiling_s = 0;
  const bool fixed_rates =
      spec.keeps_log_times ||
      std::any_of(spec.servers.begin(), spec.servers.end(), [](const ServerSpec& one) { return !one.rates.empty(); });
  if (by_ceiling && fixed_rates)
    throw UsageError(
        "bakeoff compare: --by: at a fixed rate the ceiling's speed means nothing; use server_cpu_us_per_reply");
  Programs baseline(reactor, binaries_of(settings.baseline)), candidate(reactor, binaries_of(settings.candidate));
  baseline.check(spec);
  const std::vector<Cell> cells = feasible_cells(candidate, spec);
  const auto block_of = [&](double trial_s) { return 2 * trial_s * static_cast<double>(cells.size()); };
  const double block_s = block_of(expected_trial_s(spec));
  // What a trial takes beside its own times depends on the machine: it is no reason to refuse.
  if (const double least_s = first_look * block_of(spec.warmup_s + spec.duration_s + ceiling_time_s(spec));
      budget_s < least_s) {
    throw UsageError(fmt::format(
        "bakeoff compare: --budget {}: one look takes {} pairs of {} {}, at least {}; allow more, or give fewer cells",
        settings.budget, first_look, cells.size(), cells.size() == 1 ? "cell" : "cells", duration_words(least_s)));
  }
  const std::optional<OutputFile> json = json_output(settings);
  const FileSets file_sets(reactor, spec, cells);
  const Placement placement = place(spec);
  const ProcessorLock lock(placement.occupied);
  TrialRunner baseline_runner(baseline, spec, file_sets, placement),
      candidate_runner(candidate, spec, file_sets, placement);

  nlohmann::json report = {{"schema_version", 2},
                           {"evidence", "interleaved"},
                           {"baseline", baseline.dir().string()},
                           {"candidate", candidate.dir().string()},
                           {"experiment", spec.name}};
  const auto conclude = [&](const char* verdict, const std::string& why, int status) {
    report["verdict"] = verdict;
    report["why"] = why;
    const bool written = write_report(report, settings, json);
    say_verdict(spec.name + " by " + names_of(guards), verdict, why);
    return written ? status : exit_status::not_started;
  };
  if (const std::string note = network_note(spec); !note.empty()) std::fprintf(stderr, "%s\n", note.c_str());
  if (const std::string wrong = verify_all(baseline_runner, cells); !wrong.empty())
    return conclude("not comparable", "the baseline: " + wrong, exit_status::not_started);
  if (const std::string wrong = verify_all(candidate_runner, cells); !wrong.empty())
    return conclude("regressed", "the candidate: " + wrong, exit_status::policy_failed);

  if (!settings.soak.empty()) {
    const double soak_s = static_cast<double>(parse_duration_ns("bakeoff compare: --soak", settings.soak)) * 1e-9;
    const std::string grown = soak_all(baseline_runner, candidate_runner, cells, soak_s, report);
    if (!grown.empty()) return conclude("regressed", grown, exit_status::policy_failed);
  }
  std::vector<WarmUp> warm_ups;
  if (needs_pilot(spec)) {
    Progress progress(2 * pilot_cells(cells).size() * pilot_repeats, 2 * spec.longest_warmup_s + 0.3);
    warm_ups = find_warm_ups(spec, cells, {&baseline_runner, &candidate_runner}, progress);
  }
  Progress progress(static_cast<std::size_t>(budget_s / block_s) * 2 * cells.size(), expected_trial_s(spec));
  PairComparison comparison(spec, cells, baseline_runner, candidate_runner, guards);
  const PairOutcome outcome = comparison.run(budget_s, warm_ups, progress);
  progress.finish();
  for (const WarmUp& one : warm_ups) report["warm_ups"].push_back(to_json(one));
  for (const Judgement& one : outcome.judgements) report["cells"].push_back(to_json(one));
  report["turn_s"] = spec.turn_s;
  report["blocks"] = outcome.blocks;
  report["spent_s"] = outcome.spent_s;
  report["needs_s"] = outcome.needs_s ? nlohmann::json(*outcome.needs_s) : nlohmann::json(nullptr);
  report["void_trials"] = outcome.void_trials;
  report["lost_pairs"] = outcome.lost_pairs;
  report["looks"] = outcome.looks;
  report["trials"] = outcome.trials;
  if (prints_table(settings)) print(outcome.judgements);
  warn_of_missing(outcome.judgements);
  if (outcome.void_trials > 0) {
    std::fprintf(stderr, "%u trials were void and repeated, %u pairs lost by it: others used the machine\n",
                 outcome.void_trials, outcome.lost_pairs);
  }
  if (!outcome.baseline_failure.empty())
    return conclude("not comparable", outcome.baseline_failure, exit_status::not_started);
  std::string why =
      outcome.why + fmt::format(" ({} {} in {})", outcome.blocks, outcome.blocks == 1 ? "block" : "blocks",
                                duration_words(outcome.spent_s));
  if (outcome.needs_s)
    why += fmt::format("; about {} more would decide it: --budget", duration_words(*outcome.needs_s));
  return conclude(to_string(outcome.verdict), why, status_of(outcome.verdict, settings));
}

bool all_have(const ExperimentResult& result, Metric metric) {
  return std::all_of(result.cells.begin(), result.cells.end(),
                     [&](const CellResult& cell) { return !cell.valid || cell.summary[metric].median; });
}

// What was measured at different times is compared by what was measured beside it, where that is there; at a fixed rate
// by CPU time.
std::string figures_of_stored(const ExperimentResult& baseline, const ExperimentResult& candidate) {
  for (const Metric metric : {Metric::relative_to_ceiling, Metric::server_cpu_us_per_reply}) {
    if (all_have(baseline, metric) && all_have(candidate, metric)) return path_of(name_of(metric));
  }
  return "replies_per_s";
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
  const std::vector<Guard> guards =
      read_guards(settings.by.empty() ? figures_of_stored(baseline, candidate) : settings.by, settings.margin);
  const std::optional<OutputFile> json = json_output(settings);
  const StoredComparison comparison = compare_stored(baseline, candidate, guards);
  nlohmann::json report = {{"schema_version", 2},
                           {"evidence", "stored"},
                           {"baseline", before},
                           {"candidate", after},
                           {"experiment", baseline.name},
                           {"differences", differences},
                           {"failures", comparison.failures},
                           {"left_out", comparison.left_out},
                           {"why", comparison.why}};
  for (const Judgement& one : comparison.judgements) report["cells"].push_back(to_json(one));
  const char* const verdict = comparison.comparable ? to_string(comparison.verdict) : "not comparable";
  report["verdict"] = verdict;
  const bool written = write_report(report, settings, json);
  if (prints_table(settings)) print(comparison.judgements);
  for (const std::string& one : comparison.failures) std::fprintf(stderr, "worse: %s\n", one.c_str());
  for (const std::string& one : comparison.left_out) std::fprintf(stderr, "left out: %s\n", one.c_str());
  for (const std::string& one : differences) std::fprintf(stderr, "differs: %s\n", one.c_str());
  std::fprintf(stderr,
               "stored results, measured at different times: weaker than `bakeoff compare --baseline BUILD --candidate "
               "BUILD SPEC`\n");
  say_verdict(baseline.name + " by " + names_of(guards), verdict, comparison.why);
  return written && comparison.comparable ? status_of(comparison.verdict, settings) : exit_status::not_started;
}

}  // namespace

int compare_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  CompareSettings settings;
  const auto option = [&](const char* name, auto* value, const char* what, const char* help) {
    options.add_options()(name, po::value(value)->value_name(what), help);
  };
  option("baseline", &settings.baseline, "DIR", "the build to be measured against: a directory of binaries");
  option("candidate", &settings.candidate, "DIR", "the build in question");
  option("by", &settings.by, "FIGURE[:MARGIN],...",
         "the figures that are guarded, as result.json calls them (default: replies_per_s,replies_per_cpu_s; of stored "
         "results relative_to_ceiling, at fixed rates server_cpu_us_per_reply)");
  option("margin", &settings.margin, "SHARE", "a loss that matters, 0.05 for 5 % (the default)");
  option("budget", &settings.budget, "TIME", "at most so long, 10min by default; most comparisons end much earlier");
  option("undecided", &settings.undecided, "fail|pass", "pass: exit status 0 when undecided, not 3");
  options.add_options()("force", po::bool_switch(&settings.force),
                        "compare stored results of different environments nevertheless");
  option("soak", &settings.soak, "TIME",
         "first each server is under load for so long, of both builds: memory, descriptors or tasks that grow in the "
         "candidate alone are a regression");
  option("format", &settings.format, "json|markdown|github|junit", "on standard output, instead of the table");
  option("json", &settings.json_file, "FILE", "write the comparison there; - for standard output");
  po::variables_map given;
  if (!read_options("compare", arguments, options, 2, given)) return exit_status::fine;
  check_margin("--margin", settings.margin);
  if (settings.undecided != "pass" && settings.undecided != "fail")
    throw UsageError("bakeoff compare: --undecided " + settings.undecided + ": expected pass or fail");
  const bool known_format = std::any_of(comparison_formats().begin(), comparison_formats().end(),
                                        [&](const ComparisonFormat& one) { return one.name == settings.format; });
  if (!settings.format.empty() && !known_format)
    throw UsageError("bakeoff compare: --format " + settings.format + ": expected json, markdown, github or junit");
  if (!settings.format.empty() && settings.json_file == "-")
    throw UsageError("bakeoff compare: --json - and --format both write to standard output; give --json a file");
  if (!settings.soak.empty() && parse_duration_ns("bakeoff compare: --soak", settings.soak) < 2'000'000'000)
    throw UsageError("bakeoff compare: --soak " + settings.soak + ": expected 2s or more");
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
  return compare_builds(reactor, load_specification(first), settings);
}

}  // namespace bakeoff
