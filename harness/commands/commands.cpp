#include "harness/commands/commands.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>

#include "core/base/errors.h"
#include "core/stats_region.h"
#include "harness/run/bundle.h"
#include "harness/commands/command_line.h"
#include "harness/run/experiment.h"
#include "harness/ground/file_sets.h"
#include "harness/commands/micro_experiments.h"
#include "harness/plan/outside.h"
#include "harness/plan/plan.h"
#include "harness/plan/preset.h"
#include "harness/machine/profile.h"
#include "harness/run/progress.h"
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

int with_folder(Programs& programs, const Specification& spec, RunFolder& folder, Search search) {
  const std::string path = folder.path().string();
  ExperimentResult result;
  try {
    result = run_experiment(programs, spec, folder, search);
  } catch (const Interrupted&) {
    std::fprintf(stderr, "bakeoff: interrupted; what was measured is in %s. Go on with: bakeoff %s --resume --out %s\n", path.c_str(),
                 command_of(search), path.c_str());
    return exit_status::interrupted;
  }
  const TableStyle style{may_colour()};
  std::fprintf(stderr, "\n%s\n", tables(result, style).c_str());
  for (const std::string& table : {profile_table(result), peak_table(result), beside(spec, result, style)}) {
    if (!table.empty()) std::fprintf(stderr, "%s\n", table.c_str());
  }
  std::fprintf(stderr, "result: %s/result.json\n", path.c_str());
  // A server without a valid cell broke a validity rule everywhere: the table says which.
  return result.best.size() == spec.servers.size() * contests(result.cells).size() ? exit_status::fine : exit_status::policy_failed;
}

}  // namespace

const std::vector<std::pair<int, const char*>>& exit_statuses() {
  static const std::vector<std::pair<int, const char*>> statuses = {
      {exit_status::fine, "fine"},
      {exit_status::policy_failed, "a policy failed: a regression, a server without a valid cell"},
      {exit_status::usage, "usage or specification"},
      {exit_status::undecided, "undecided (compare --strict)"},
      {exit_status::not_started, "a server did not start or verify"},
      {exit_status::interrupted, "interrupted, to be resumed"},
  };
  return statuses;
}

const std::vector<SubCommand>& sub_commands() {
  static const std::vector<SubCommand> commands = {
      {"run", "SPEC [--scale NAME] [--out DIR] [--resume] [--profile]", "run an experiment: a shipped one by its name, or a TOML file", run_command},
      {"tune", "SPEC [--out DIR] [--resume]", "find each server's best cell in a third of the trials, then measure it again", tune_command},
      {"peak", "SPEC [--out DIR] [--resume]", "find the highest rate that each cell sustains within the limits, and what is left of it under twice that load", peak_command},
      {"plan", "SPEC [--scale NAME]", "print an experiment's cells and how long it will take, run nothing", plan_command},
      {"check", "SPEC", "say what is wrong with a specification, run nothing", check_command},
      {"compare", "--baseline DIR --candidate DIR SPEC | RUN RUN", "two builds' binaries, interleaved (or two stored runs): is the candidate worse?", compare_command},
      {"verify", "SPEC", "have every server answer every file, measure nothing", verify_command},
      {"report", "RUN [--format FORMAT]", "print a run's tables again, or its figures for another tool", report_command},
      {"bundle", "RUN [--out FILE]", "one archive from which a run can be repeated", bundle_command},
      {"micro", "NAME [--trials N] [--duration T] [--out DIR]", "the papers' experiments without a network; see bakeoff list micro", micro_command},
      {"serve", "PRESET|ARCHITECTURE --root DIR [...]", "run one server by hand", serve_command, true},
      {"stats", "PID", "print what a running server has counted, in all and for each worker, as JSON", stats_command},
      {"list", "[architectures|presets|outside|workloads|experiments|micro]", "what there is", list_command},
      {"doctor", "[--fast]", "what on this machine will spoil a comparison, and what mends it", doctor_command},
      {"completion", "bash", "print what makes the shell complete bakeoff's words", completion_command},
      {"man", "", "print the manual page", man_command},
  };
  return commands;
}

namespace {

constexpr const char* scale_help = "one of the specification's [scale.NAME], to fit it into minutes or to let it run for a night";

int run_or_tune(Reactor& reactor, const Arguments& arguments, Search search) {
  const std::string command = command_of(search);
  po::options_description options("Options");
  std::string out, scale;
  bool resume = false, profile = false;
  options.add_options()("out", po::value(&out)->value_name("DIR"), "the run's folder (default: runs/NAME-DATE-TIME)")(
      "resume", po::bool_switch(&resume), "go on with the run in --out; SPEC may be left out")("scale", po::value(&scale)->value_name("NAME"), scale_help)(
      "profile", po::bool_switch(&profile), "after each trial, have perf tell under the same load where the server's CPU time goes");
  po::variables_map given;
  if (!read_options(command, arguments, options, 1, given)) return exit_status::fine;
  Programs programs(reactor);
  if (resume) {
    if (out.empty()) throw UsageError("bakeoff " + command + ": --resume needs the folder of the run to go on with, --out DIR");
    // A run that was killed before it had a plan has nothing to go on with: it begins.
    if (given.count("words") == 0 || RunFolder::has_begun(out)) {
      RunFolder folder = RunFolder::reopen(out);
      const nlohmann::json plan = read_json(folder.path() / "plan.json");
      Specification spec = load_specification(folder.spec_file().string(), plan.value("scale", ""));
      spec.name = plan.value("name", spec.name);
      spec.profile = profile || plan.value("profile", false);
      if (plan.value("search", "run") != command) throw UsageError(out + " was begun by bakeoff " + plan.value("search", "run") + "; go on with it by that");
      if (given.count("words") != 0 && load_specification(word(given, 0, command, "a specification"), scale).sha256 != spec.sha256) {
        throw UsageError(out + " holds a run of another specification or scale; leave SPEC out, or choose another --out");
      }
      programs.check(spec);
      return with_folder(programs, spec, folder, search);
    }
  }
  Specification spec = load_specification(word(given, 0, command, "an experiment's name or file"), scale);
  spec.profile = spec.profile || profile;
  programs.check(spec);
  check_descriptors(plan_cells(spec, spec.workload));  // whatever is wrong with it is said before anything is made
  load_workload(spec.workload, spec.workload_overrides);
  RunFolder folder = RunFolder::create(out.empty() ? fresh_folder(spec.name) : std::filesystem::path(out));
  folder.write("spec.toml", spec.source_text);
  return with_folder(programs, spec, folder, search);
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
int tune_command(Reactor& reactor, const Arguments& arguments) { return run_or_tune(reactor, arguments, Search::tuned); }
int peak_command(Reactor& reactor, const Arguments& arguments) { return run_or_tune(reactor, arguments, Search::peak); }

int plan_command(Reactor& reactor, const Arguments& arguments) {
  const auto spec = only_specification("plan", arguments);
  if (!spec) return exit_status::fine;
  Programs(reactor).check(*spec);
  const std::vector<Cell> cells = plan_cells(*spec, load_workload(spec->workload, spec->workload_overrides).name);
  check_descriptors(cells);
  for (const Cell& cell : cells) std::cout << cell.id << "\n";
  std::fprintf(stderr, "%zu cells, %u trials each, then %u of each server's best: %zu trials of %.1f s, about %s\n", cells.size(), spec->sweep_trials, spec->final_trials,
               expected_trials(*spec, cells.size()), expected_trial_s(*spec), duration_words(expected_run_s(*spec, cells.size())).c_str());
  return exit_status::fine;
}

int check_command(Reactor& reactor, const Arguments& arguments) {
  const auto spec = only_specification("check", arguments);
  if (!spec) return exit_status::fine;
  Programs programs(reactor);
  const auto check = [&](const Specification& one) {
    programs.check(one);
    const std::vector<Cell> cells = plan_cells(one, load_workload(one.workload, one.workload_overrides).name);
    check_descriptors(cells);
    for (const Cell& cell : cells) {
      if (!cell.workload_set.empty()) load_workload(one.workload, workload_overrides(one, cell));
    }
    std::fprintf(stderr, "%s%s: fine, %zu cells, about %s\n", one.name.c_str(), one.scale.empty() ? "" : (" --scale " + one.scale).c_str(), cells.size(),
                 duration_words(expected_run_s(one, cells.size())).c_str());
  };
  check(*spec);
  if (!spec->scale.empty()) return exit_status::fine;
  for (const std::string& scale : spec->scales) check(parse_specification(spec->source_text, spec->file, scale));
  return exit_status::fine;
}

int verify_command(Reactor& reactor, const Arguments& arguments) {
  const auto spec = only_specification("verify", arguments);
  if (!spec) return exit_status::fine;
  Programs programs(reactor);
  programs.check(*spec);
  verify_experiment(programs, *spec);
  return exit_status::fine;
}

int report_command(Reactor&, const Arguments& arguments) {
  po::options_description options("Options");
  std::string format, known;
  for (const ExportFormat& one : export_formats()) known += std::string(known.empty() ? "" : "; ") + one.name + ": " + one.what;
  options.add_options()("format", po::value(&format)->value_name("FORMAT"), ("instead of tables " + known).c_str());
  po::variables_map given;
  if (!read_options("report", arguments, options, 1, given)) return exit_status::fine;
  const ExperimentResult result = read_result(word(given, 0, "report", "a run's folder"));
  if (!format.empty()) {
    for (const ExportFormat& one : export_formats()) {
      if (one.name != format) continue;
      std::cout << one.write(result) << std::flush;
      return exit_status::fine;
    }
    throw UsageError("bakeoff report: there is no format `" + format + "`; there are " + known);
  }
  const TableStyle style{isatty(STDOUT_FILENO) == 1 && may_colour()};
  if (is_micro(result)) {
    std::cout << scaling(result, style);
    return exit_status::fine;
  }
  std::cout << tables(result, style);
  const std::filesystem::path spec = std::filesystem::path(given["words"].as<std::vector<std::string>>().front()) / "spec.toml";
  if (std::filesystem::exists(spec)) std::cout << beside(load_specification(spec.string()), result, style);
  return exit_status::fine;
}

int bundle_command(Reactor&, const Arguments& arguments) {
  po::options_description options("Options");
  std::string out;
  options.add_options()("out", po::value(&out)->value_name("FILE"), "the archive (default: the run's folder with .tar.gz)");
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
    (arguments.empty() ? std::cerr : std::cout) << "bakeoff serve PRESET|ARCHITECTURE --root DIR [...]\n"
                                                   "Becomes that server. Further options are the server's own and win over the preset's; see\n"
                                                   "bakeoff serve ARCHITECTURE --help, and bakeoff list architectures presets.\n";
    return arguments.empty() ? exit_status::usage : exit_status::fine;
  }
  Arguments words;
  std::string architecture = arguments[0];
  if (const auto preset = find_preset(architecture)) {
    architecture = preset->architecture;
    for (const auto& [key, value] : preset->options) {
      const bool overridden = std::any_of(arguments.begin() + 1, arguments.end(), [&, &name = key](const std::string& argument) {
        return argument == "--" + name || argument.starts_with("--" + name + "=");
      });
      if (!overridden) words.insert(words.end(), {"--" + key, value});
    }
  }
  words.insert(words.begin(), Programs(reactor).find(architecture).string());
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
  if (error != std::errc() || end != text.data() + text.size() || pid <= 0) throw UsageError("bakeoff stats: `" + text + "` is no pid");
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
        lines.emplace_back(name, description.value("paper", "") + "; workers: " + description.at("workers").value("meaning", ""));
      }
    } else if (kind == "presets") {
      for (const Preset& preset : list_presets()) {
        lines.emplace_back(preset.name, preset.description + " [" + preset.architecture + "; " + preset.paper + " §" + preset.section + "]");
      }
    } else if (kind == "outside") {
      for (const OutsideServer& server : list_outside()) lines.emplace_back(server.name, server.title);
    } else if (kind == "workloads") {
      for (const WorkloadInfo& workload : list_workloads()) lines.emplace_back(workload.name, workload.description);
    } else if (kind == "experiments") {
      for (const ExperimentInfo& experiment : list_experiments()) lines.emplace_back(experiment.name, experiment.title);
    } else if (kind == "micro") {
      for (const MicroExperiment& experiment : micro_experiments()) lines.emplace_back(experiment.name, experiment.title);
    } else {
      throw UsageError("bakeoff list: `" + kind + "` is none of architectures, presets, outside, workloads, experiments, micro");
    }
    if (as_json) {
      json[kind] = nlohmann::ordered_json::array();
      for (const auto& [name, what] : lines) json[kind].push_back({{"name", name}, {"about", what}});
      if (kind == "presets") add_presets(json[kind]);
      continue;
    }
    if (wanted.size() > 1) std::cout << kind << ":\n";
    for (const auto& [name, what] : lines) std::printf("%s%-26s%s\n", wanted.size() > 1 ? "  " : "", name.c_str(), what.c_str());
    std::fflush(stdout);
  }
  if (as_json) std::cout << json.dump(2) << std::endl;
  return exit_status::fine;
}

}  // namespace bakeoff
