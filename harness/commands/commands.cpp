#include "harness/commands/commands.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>
#include <set>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/stats_region.h"
#include "core/toml/strict_toml.h"
#include "harness/commands/command_line.h"
#include "harness/commands/explain.h"
#include "harness/commands/micro_experiments.h"
#include "harness/ground/file_sets.h"
#include "harness/machine/profile.h"
#include "harness/machine/topology.h"
#include "harness/plan/outside.h"
#include "harness/plan/plan.h"
#include "harness/plan/preset.h"
#include "harness/run/bundle.h"
#include "harness/run/experiment.h"
#include "harness/run/feasibility.h"
#include "harness/run/kept_inputs.h"
#include "harness/run/progress.h"
#include "harness/run/run_page.h"
#include "harness/run/stored_result.h"
#include "results/export.h"
#include "results/reference.h"
#include "results/tables.h"
#include "workloads/workload.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

// The result beside what a paper published, where the specification names that.
std::string beside(const Specification& spec, const ExperimentResult& result, const TableStyle& style) {
  return spec.reference.empty() ? "" : beside_reference(result, load_reference_table(spec.reference), style);
}

constexpr const char* wide_help = "tables with all columns, however wide";

// A result's summary and exit status.
struct Telling {
  bool wide = false;
  bool strict = false;
  bool quiet = false;
};

// The page at the end of a run. Whatever is wrong with it, the run's result stands.
void write_page_of(const std::filesystem::path& folder, bool quiet) {
  try {
    write_page(folder);
    if (!quiet) std::fprintf(stderr, "page: %s/page.html\n", folder.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bakeoff: there is no page: %s\n", error.what());
  }
}

int with_folder(Programs& programs, const Specification& spec, RunFolder& folder, Search search, Telling telling) {
  const std::string path = folder.path().string();
  ExperimentResult result;
  try {
    result = run_experiment(programs, spec, folder, search, telling.quiet ? Talk::quiet : Talk::normal);
  } catch (const Interrupted&) {
    std::fprintf(stderr, "bakeoff: interrupted; what was measured is in %s. Go on with: bakeoff %s --resume --out %s\n",
                 path.c_str(), command_of(search), path.c_str());
    return exit_status::interrupted;
  }
  const TableStyle style = style_of_stdout(telling.wide);
  std::printf("\n%s", tables(result, style).c_str());
  for (const std::string& table : {profile_table(result), beside(spec, result, style)}) {
    if (!table.empty()) std::printf("\n%s", table.c_str());
  }
  std::fflush(stdout);
  if (!telling.quiet) std::fprintf(stderr, "result: %s/result.json\n", path.c_str());
  write_page_of(folder.path(), telling.quiet);
  // A server without a valid cell broke a validity rule everywhere: the table says which. One that `exclude` keeps out
  // of a contest is not missed there.
  if (search == Search::peak) return exit_status::fine;
  if (telling.strict) {
    bool all_valid = true;
    for (const CellResult& cell : result.cells) {
      if (cell.trials.empty() || cell.valid) continue;
      all_valid = false;
      std::fprintf(stderr, "not valid: %s: %s\n", cell.cell.id.c_str(),
                   cell.reasons.empty() ? "no reason is known" : cell.reasons.front().c_str());
    }
    if (!all_valid) return exit_status::policy_failed;
  }
  std::set<std::pair<std::string, std::string>> entered, ranked;
  for (const CellResult& cell : result.cells) entered.emplace(contest_of(cell.cell), cell.cell.server);
  for (const Best& best : result.best) ranked.emplace(best.contest, best.server);
  return entered == ranked ? exit_status::fine : exit_status::policy_failed;
}

}  // namespace

const std::vector<std::pair<int, const char*>>& exit_statuses() {
  static const std::vector<std::pair<int, const char*>> statuses = {
      {exit_status::fine, "fine"},
      {exit_status::policy_failed, "a policy failed: a regression, a server without a valid cell"},
      {exit_status::usage, "usage or specification"},
      {exit_status::undecided, "undecided (compare, unless --undecided pass)"},
      {exit_status::not_started, "a server did not start or verify"},
      {exit_status::interrupted, "interrupted, to be resumed"},
  };
  return statuses;
}

const std::vector<SubCommand>& sub_commands() {
  static const std::vector<SubCommand> commands = {
      {"run", "SPEC [--scale NAME] [--out DIR] [--resume] [--profile] [--strict]",
       "run an experiment: a shipped one by its name, or a TOML file", run_command},
      {"tune", "SPEC [--out DIR] [--resume]",
       "find each server's best cell in a third of the trials, then measure it again", tune_command},
      {"peak", "SPEC [--out DIR] [--resume]",
       "find the highest rate that each cell sustains within the limits, and what is left of it under twice that load",
       peak_command},
      {"plan", "SPEC [--scale NAME]", "print an experiment's cells and how long it will take, run nothing",
       plan_command},
      {"check", "SPEC", "say what is wrong with a specification, or with an outside server's file; measure nothing",
       check_command},
      {"compare", "--baseline DIR --candidate DIR SPEC | RUN RUN",
       "two builds' binaries, interleaved (or two stored runs): is the candidate worse?", compare_command},
      {"verify", "SPEC", "have every server answer every file, measure nothing", verify_command},
      {"report", "[RUN...] [--format FORMAT] [--wide]",
       "print a run's tables again (the newest run's), or its figures as a page or for another tool", report_command},
      {"figures", "[RUN] [--format svg|pdf] [--width LENGTH] [--out DIR]",
       "a run's figures as files for papers, each with its Vega-Lite specification", figures_command},
      {"bundle", "RUN [--out FILE]", "one archive from which a run can be repeated", bundle_command},
      {"micro", "NAME [--trials N] [--duration T] [--out DIR]",
       "the papers' experiments without a network; see bakeoff list micro", micro_command},
      {"serve", "PRESET|ARCHITECTURE --root DIR [...]", "run one server by hand", serve_command, true},
      {"explain", "PRESET|ARCHITECTURE", "what a server is, who waits in it, what it sets and what is left to set",
       explain_command},
      {"new", "architecture NAME", "write the smallest architecture that passes the conformance suite, as a start",
       new_command},
      {"stats", "PID", "print what a running server has counted, in all and for each worker, as JSON", stats_command},
      {"list", "[architectures|presets|outside|workloads|experiments|micro]", "what there is", list_command},
      {"doctor", "[--fast]", "what on this machine will spoil a comparison, and what mends it", doctor_command},
      {"completion", "bash", "print what makes the shell complete bakeoff's words", completion_command},
      {"man", "", "print the manual page", man_command},
  };
  return commands;
}

namespace {

// The specification that a run's folder holds: from here on, of the copies that the folder has of all it names.
Specification kept_specification(const RunFolder& folder, const std::string& scale, const std::string& name,
                                 bool profile) {
  Specification spec = load_specification(folder.spec_file().string(), scale);
  if (!name.empty()) spec.name = name;
  spec.profile = profile;
  return spec;
}

// A slip such as duration = 500, which are seconds, is not noticed before the evening.
void say_if_long(const Specification& spec, const std::vector<Cell>& cells) {
  constexpr double long_s = 3600;
  const double run_s = expected_run_s(spec, cells);
  if (run_s <= long_s) return;
  std::fprintf(stderr, "%s%s takes about %s: %zu trials of %s each, with a measured time of %s (duration in [load])\n",
               spec.name.c_str(), spec.scale.empty() ? "" : (" --scale " + spec.scale).c_str(),
               duration_words(run_s).c_str(), Campaign(spec, cells, {}, Search::full).steps(),
               duration_words(expected_trial_s(spec)).c_str(), duration_words(spec.duration_s).c_str());
}

constexpr const char* scale_help =
    "one of the specification's [scale.NAME], to fit it into minutes or to let it run for a night";

int run_or_tune(Reactor& reactor, const Arguments& arguments, Search search) {
  const std::string command = command_of(search);
  po::options_description options("Options");
  std::string out, scale;
  bool resume = false, profile = false;
  Telling telling;
  options.add_options()("out", po::value(&out)->value_name("DIR"), "the run's folder (default: runs/NAME-DATE-TIME)")(
      "resume", po::bool_switch(&resume), "go on with the run in --out; SPEC may be left out")(
      "scale", po::value(&scale)->value_name("NAME"), scale_help)(
      "profile", po::bool_switch(&profile),
      "after each trial, have perf show, under the same load, where the server's CPU time goes")(
      "wide", po::bool_switch(&telling.wide), wide_help)("quiet", po::bool_switch(&telling.quiet),
                                                         "no progress on standard error: errors alone")(
      "strict", po::bool_switch(&telling.strict),
      "exit status 1 when any cell is not valid, not only when a server has no valid one");
  po::variables_map given;
  if (!read_options(command, arguments, options, 1, given)) return exit_status::fine;
  Programs programs(reactor);
  if (resume) {
    if (out.empty())
      throw UsageError("bakeoff " + command + ": --resume needs the folder of the run to go on with, --out DIR");
    // A run that was killed before it had a plan has nothing to go on with: it begins.
    if (given.count("words") == 0 || RunFolder::has_begun(out)) {
      RunFolder folder = RunFolder::reopen(out);
      const nlohmann::json plan = read_json(folder.path() / "plan.json");
      check_kept_inputs(folder.path(), true);
      const Specification spec = kept_specification(folder, plan.value("scale", ""), plan.value("name", ""),
                                                    profile || plan.value("profile", false));
      if (plan.value("search", "run") != command)
        throw UsageError(out + " was begun by bakeoff " + plan.value("search", "run") + "; go on with it by that");
      if (given.count("words") != 0 &&
          load_specification(word(given, 0, command, "a specification"), scale).sha256 != spec.sha256) {
        throw UsageError(out +
                         " holds a run of another specification or scale; leave SPEC out, or choose another --out");
      }
      programs.check(spec);
      return with_folder(programs, spec, folder, search, telling);
    }
  }
  Specification spec = load_specification(word(given, 0, command, "an experiment's name or file"), scale);
  spec.profile = spec.profile || profile;
  // Errors are reported before anything is made.
  const std::vector<Cell> cells = feasible_cells(programs, spec, search);
  if (search == Search::full) say_if_long(spec, cells);
  RunFolder folder = RunFolder::create(out.empty() ? fresh_folder(spec.name) : std::filesystem::path(out));
  folder.write("spec.toml", spec.source_text);
  keep_inputs(spec, folder);
  return with_folder(programs, kept_specification(folder, spec.scale, spec.name, spec.profile), folder, search,
                     telling);
}

// The one word of a sub-command that takes a specification and nothing else; empty when only help was wanted.
std::optional<Specification> only_specification(const std::string& command, const Arguments& arguments) {
  po::options_description options("Options");
  std::string scale;
  options.add_options()("scale", po::value(&scale), scale_help);
  po::variables_map given;
  if (!read_options(command, arguments, options, 1, given)) return std::nullopt;
  return load_specification(word(given, 0, command, "an experiment's name or file"), scale);
}

}  // namespace

std::filesystem::path fresh_folder(const std::string& name) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "-%Y%m%d-%H%M%S", &parts);
  const std::filesystem::path wanted = std::filesystem::path("runs") / (name + stamp);
  std::filesystem::path folder = wanted;
  for (int i = 2; std::filesystem::exists(folder); ++i) folder = wanted.string() + "-" + std::to_string(i);
  return folder;
}

int run_command(Reactor& reactor, const Arguments& arguments) { return run_or_tune(reactor, arguments, Search::full); }
int tune_command(Reactor& reactor, const Arguments& arguments) {
  return run_or_tune(reactor, arguments, Search::tuned);
}
int peak_command(Reactor& reactor, const Arguments& arguments) { return run_or_tune(reactor, arguments, Search::peak); }

int plan_command(Reactor& reactor, const Arguments& arguments) {
  const auto spec = only_specification("plan", arguments);
  if (!spec) return exit_status::fine;
  Programs programs(reactor);
  const std::vector<Cell> cells = feasible_cells(programs, *spec);
  say_if_long(*spec, cells);
  for (const Cell& cell : cells) std::cout << cell.id << "\n";
  const std::size_t trials = Campaign(*spec, cells, {}, Search::full).steps();
  std::fprintf(stderr, "%zu %s, %u %s each, then %u of each server's best: %zu %s of %.1f s, about %s\n", cells.size(),
               cells.size() == 1 ? "cell" : "cells", spec->sweep_trials, spec->sweep_trials == 1 ? "trial" : "trials",
               spec->final_trials, trials, trials == 1 ? "trial" : "trials", expected_trial_s(*spec),
               duration_words(expected_run_s(*spec, cells)).c_str());
  return exit_status::fine;
}

namespace {

// A file that defines a server of others, for [[server]] outside; it is no specification.
bool is_outside_definition(const std::string& name_or_path) {
  if (!is_path(name_or_path) || !std::filesystem::is_regular_file(name_or_path)) return false;
  const TomlTable root = TomlDocument::load(name_or_path).root();
  return root.has("program") && !root.has("server");
}

// Has it serve the smallest workload there is.
int check_outside(Reactor& reactor, const std::string& file) {
  const std::string path = std::filesystem::absolute(file).string();
  if (path.find('\'') != std::string::npos || path.find('\n') != std::string::npos)
    throw UsageError("bakeoff check: " + path + ": a path with ' or a line's end cannot be checked");
  const OutsideServer server = load_outside(path);
  const Specification spec =
      parse_specification("[workload]\nname = \"single-file\"\n[load]\nconnections = 1\n[[server]]\noutside = '" +
                              path + "'\nworkers = " + std::to_string(server.least_workers) + "\n",
                          file);
  Programs programs(reactor);
  programs.check(spec);
  verify_experiment(programs, spec);
  std::fprintf(stderr, "%s: fine, %s starts and answers; workers: %u to %u\n", server.name.c_str(),
               server.program().c_str(), server.least_workers, server.most_workers);
  return exit_status::fine;
}

}  // namespace

int check_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  std::string scale;
  options.add_options()("scale", po::value(&scale)->value_name("NAME"), scale_help);
  po::variables_map given;
  if (!read_options("check", arguments, options, 1, given)) return exit_status::fine;
  const std::string what = word(given, 0, "check", "an experiment's name or file, or an outside server's file");
  if (is_outside_definition(what)) return check_outside(reactor, what);
  const Specification spec = load_specification(what, scale);
  Programs programs(reactor);
  const auto check = [&](const Specification& one) {
    const std::vector<Cell> cells = feasible_cells(programs, one);
    say_if_long(one, cells);
    std::fprintf(stderr, "%s%s: fine, %zu %s, about %s\n", one.name.c_str(),
                 one.scale.empty() ? "" : (" --scale " + one.scale).c_str(), cells.size(),
                 cells.size() == 1 ? "cell" : "cells", duration_words(expected_run_s(one, cells)).c_str());
  };
  check(spec);
  if (!spec.scale.empty()) return exit_status::fine;
  for (const std::string& one : spec.scales) check(parse_specification(spec.source_text, spec.file, one));
  return exit_status::fine;
}

int verify_command(Reactor& reactor, const Arguments& arguments) {
  const auto spec = only_specification("verify", arguments);
  if (!spec) return exit_status::fine;
  Programs programs(reactor);
  feasible_cells(programs, *spec);
  verify_experiment(programs, *spec);
  return exit_status::fine;
}

namespace {

// Runs whose folders have one name are told apart by a number.
void name_apart(std::vector<PageRun>& runs) {
  std::set<std::string> seen;
  for (PageRun& run : runs) {
    const std::string name = run.label;
    for (int number = 2; !seen.insert(run.label).second; ++number)
      run.label = name + " (" + std::to_string(number) + ")";
  }
}

}  // namespace

int report_command(Reactor&, const Arguments& arguments) {
  po::options_description options("Options");
  std::string format, known = "html: one page of figures and tables, of several runs together";
  bool wide = false;
  for (const ExportFormat& one : export_formats()) known += std::string("; ") + one.name + ": " + one.what;
  options.add_options()("format", po::value(&format)->value_name("FORMAT"), ("instead of tables " + known).c_str())(
      "wide", po::bool_switch(&wide), wide_help);
  po::variables_map given;
  constexpr std::size_t most_runs = 8;
  if (!read_options("report", arguments, options, most_runs, given)) return exit_status::fine;
  std::vector<std::string> runs;
  if (given.count("words") != 0) runs = given["words"].as<std::vector<std::string>>();
  if (runs.empty()) runs.push_back(newest_run("runs").string());
  if (format == "html") {
    std::vector<PageRun> pages;
    for (const std::string& run : runs) pages.push_back(read_page_run(run));
    name_apart(pages);
    std::cout << to_html(pages, load_page_scripts()) << std::flush;
    if (!std::cout) throw StartError("bakeoff report: the page could not be written");
    return exit_status::fine;
  }
  if (runs.size() > 1) {
    throw UsageError("bakeoff report: tables and " + (format.empty() ? std::string("exports") : format) +
                     " are of one run; lay several over each other by --format html, or see bakeoff compare");
  }
  const ExperimentResult result = read_result(runs.front());
  if (!format.empty()) {
    for (const ExportFormat& one : export_formats()) {
      if (one.name != format) continue;
      std::cout << one.write(result) << std::flush;
      return exit_status::fine;
    }
    throw UsageError("bakeoff report: there is no format `" + format + "`; there are " + known);
  }
  const TableStyle style = style_of_stdout(wide);
  if (is_micro(result)) {
    std::cout << scaling(result, style);
    return exit_status::fine;
  }
  std::cout << tables(result, style);
  const std::filesystem::path spec = std::filesystem::path(runs.front()) / "spec.toml";
  if (std::filesystem::exists(spec)) std::cout << beside(load_specification(spec.string()), result, style);
  return exit_status::fine;
}

int bundle_command(Reactor&, const Arguments& arguments) {
  po::options_description options("Options");
  std::string out;
  options.add_options()("out", po::value(&out)->value_name("FILE"),
                        "the archive (default: the run's folder with .tar.gz)");
  po::variables_map given;
  if (!read_options("bundle", arguments, options, 1, given)) return exit_status::fine;
  const std::filesystem::path folder = word(given, 0, "bundle", "a run's folder");
  const ArchiveFiles files = bundle_files(folder);
  if (out.empty()) out = std::filesystem::absolute(folder / "").lexically_normal().parent_path().string() + ".tar.gz";
  std::ofstream file(out, std::ios::binary);
  file << tar_gz(files);
  if (!file.flush()) throw StartError("cannot write " + out);
  std::fprintf(stderr, "%s: %zu files\n", out.c_str(), files.size());
  return exit_status::fine;
}

int serve_command(Reactor& reactor, const Arguments& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") {
    (arguments.empty() ? std::cerr : std::cout)
        << "bakeoff serve PRESET|ARCHITECTURE --root DIR [...]\n"
           "Becomes that server. Further options are the server's own and win over the preset's; see\n"
           "bakeoff serve PRESET|ARCHITECTURE --help, and bakeoff list architectures presets.\n";
    return arguments.empty() ? exit_status::usage : exit_status::fine;
  }
  const bool asks_help = std::any_of(arguments.begin() + 1, arguments.end(),
                                     [](const std::string& one) { return one == "--help" || one == "-h"; });
  if (asks_help) std::cout << explanation(reactor, arguments[0]) << "\n" << std::flush;
  Arguments words;
  const Programs programs(reactor);
  std::string architecture = arguments[0];
  if (const auto preset = find_preset(architecture)) {
    architecture = preset->architecture;
    for (const auto& [key, value] : preset->options) {
      const bool overridden =
          std::any_of(arguments.begin() + 1, arguments.end(), [&, &name = key](const std::string& argument) {
            return argument == "--" + name || argument.starts_with("--" + name + "=");
          });
      if (!overridden) words.insert(words.end(), {"--" + key, value});
    }
  } else {
    check_is_server(programs, architecture);
  }
  words.insert(words.begin(), programs.find(architecture).string());
  words.insert(words.end(), arguments.begin() + 1, arguments.end());
  std::vector<char*> pointers;
  for (std::string& one : words) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  execv(pointers[0], pointers.data());
  throw StartError("cannot run " + words[0] + ": " + std::strerror(errno));
}

int stats_command(Reactor&, const Arguments& arguments) {
  po::options_description options("Options");
  po::variables_map given;
  if (!read_options("stats", arguments, options, 1, given)) return exit_status::fine;
  const std::string text = word(given, 0, "stats", "the pid of a running server");
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || end != text.data() + text.size() || pid <= 0)
    throw UsageError("bakeoff stats: `" + text + "` is not a pid");
  std::cout << StatsRegion::of_process(pid).to_json().dump() << std::endl;
  return exit_status::fine;
}

namespace {

// What a list of presets says beyond name and description, for programs.
void add_presets(nlohmann::ordered_json& list) {
  const std::vector<Preset> presets = list_presets();
  for (std::size_t i = 0; i < presets.size(); ++i) {
    list[i]["architecture"] = presets[i].architecture;
    list[i]["paper"] = presets[i].paper;
    list[i]["section"] = presets[i].section;
    list[i]["options"] = nlohmann::ordered_json::object();
    for (const auto& [key, value] : presets[i].options) list[i]["options"][key] = value;
  }
}

}  // namespace

int list_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  bool as_json = false;
  options.add_options()("json", po::bool_switch(&as_json), "as JSON, presets with their options");
  po::variables_map given;
  if (!read_options("list", arguments, options, 6, given)) return exit_status::fine;
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  const std::vector<std::string> kinds = {"architectures", "presets", "outside", "workloads", "experiments", "micro"};
  const auto wanted = given.count("words") == 0 ? kinds : given["words"].as<std::vector<std::string>>();
  for (const std::string& kind : wanted) {
    std::vector<std::pair<std::string, std::string>> lines;
    if (kind == "architectures") {
      Programs programs(reactor);
      for (const std::string& name : Programs::architectures()) {
        const nlohmann::json& description = programs.describe(name);
        lines.emplace_back(
            name, description.value("paper", "") + "; workers: " + description.at("workers").value("meaning", ""));
      }
    } else if (kind == "presets") {
      for (const Preset& preset : list_presets()) {
        lines.emplace_back(preset.name, preset.description + " [" + preset.architecture + "; " + preset.paper + " §" +
                                            preset.section + "]");
      }
    } else if (kind == "outside") {
      for (const OutsideServer& server : list_outside()) lines.emplace_back(server.name, server.title);
    } else if (kind == "workloads") {
      for (const WorkloadInfo& workload : list_workloads()) lines.emplace_back(workload.name, workload.description);
    } else if (kind == "experiments") {
      for (const ExperimentInfo& experiment : list_experiments()) lines.emplace_back(experiment.name, experiment.title);
    } else if (kind == "micro") {
      for (const MicroExperiment& experiment : micro_experiments())
        lines.emplace_back(experiment.name, experiment.title);
    } else {
      throw UsageError("bakeoff list: `" + kind +
                       "` is none of architectures, presets, outside, workloads, experiments, micro");
    }
    if (as_json) {
      json[kind] = nlohmann::ordered_json::array();
      for (const auto& [name, what] : lines) json[kind].push_back({{"name", name}, {"about", what}});
      if (kind == "presets") add_presets(json[kind]);
      continue;
    }
    if (wanted.size() > 1) std::cout << kind << ":\n";
    for (const auto& [name, what] : lines)
      std::printf("%s%-26s%s\n", wanted.size() > 1 ? "  " : "", name.c_str(), what.c_str());
    std::fflush(stdout);
  }
  if (as_json) std::cout << json_text(json, 2) << std::endl;
  return exit_status::fine;
}

}  // namespace bakeoff
