#include "harness/commands.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>

#include "core/errors.h"
#include "harness/command_line.h"
#include "harness/experiment.h"
#include "harness/plan.h"
#include "harness/preset.h"
#include "harness/progress.h"
#include "results/tables.h"
#include "workloads/workload.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

// "runs/quick-20240501-120000", and a number after it when two runs begin in one second.
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

nlohmann::json read_json(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw UsageError("cannot read " + file.string());
  nlohmann::json json = nlohmann::json::parse(in, nullptr, false);
  if (json.is_discarded()) throw UsageError(file.string() + ": not JSON, or cut in half");
  return json;
}

int with_folder(Programs& programs, const Specification& spec, RunFolder& folder) {
  const std::string path = folder.path().string();
  ExperimentResult result;
  try {
    result = run_experiment(programs, spec, folder);
  } catch (const Interrupted&) {
    std::fprintf(stderr, "bakeoff: interrupted; what was measured is in %s. Go on with: bakeoff run --resume --out %s\n", path.c_str(), path.c_str());
    return exit_status::interrupted;
  }
  const TableStyle style{may_colour()};
  std::fprintf(stderr, "\n%s\n%s\nresult: %s/result.json\n", matrices(result, style).c_str(), ranking(result, style).c_str(), path.c_str());
  // A server without a valid cell broke a validity rule everywhere: the table says which.
  return result.best.size() == spec.servers.size() ? exit_status::fine : exit_status::policy_failed;
}

}  // namespace

const std::vector<SubCommand>& sub_commands() {
  static const std::vector<SubCommand> commands = {
      {"run", "SPEC [--out DIR] [--resume]", "run an experiment: a shipped one by its name, or a TOML file", run_command},
      {"verify", "SPEC", "have every server answer every file, measure nothing", verify_command},
      {"report", "DIR", "print a run's tables again", report_command},
      {"serve", "PRESET|ARCHITECTURE --root DIR [...]", "run one server by hand", serve_command},
      {"list", "[architectures|presets|workloads|experiments]", "what there is", list_command},
  };
  return commands;
}

int run_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  std::string out;
  bool resume = false;
  options.add_options()("out", po::value(&out), "the run's folder (default: runs/NAME-DATE-TIME)")(
      "resume", po::bool_switch(&resume), "go on with the run in --out; SPEC may be left out");
  po::variables_map given;
  if (!read_options("run", arguments, options, 1, given)) return exit_status::fine;
  Programs programs(reactor);
  if (resume) {
    if (out.empty()) throw UsageError("bakeoff run: --resume needs the folder of the run to go on with, --out DIR");
    RunFolder folder = RunFolder::reopen(out);
    Specification spec = load_specification(folder.spec_file().string());
    spec.name = read_json(folder.path() / "plan.json").value("name", spec.name);
    if (given.count("words") != 0 && load_specification(word(given, 0, "run", "a specification")).sha256 != spec.sha256) {
      throw UsageError(out + " holds a run of another specification; leave SPEC out, or choose another --out");
    }
    programs.check(spec);
    return with_folder(programs, spec, folder);
  }
  const Specification spec = load_specification(word(given, 0, "run", "an experiment's name or file"));
  programs.check(spec);
  plan_cells(spec, spec.workload);  // whatever is wrong with it is said before anything is made
  load_workload(spec.workload, spec.workload_overrides);
  RunFolder folder = RunFolder::create(out.empty() ? fresh_folder(spec.name) : std::filesystem::path(out));
  folder.write("spec.toml", spec.source_text);
  return with_folder(programs, spec, folder);
}

int verify_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  po::variables_map given;
  if (!read_options("verify", arguments, options, 1, given)) return exit_status::fine;
  const Specification spec = load_specification(word(given, 0, "verify", "an experiment's name or file"));
  Programs programs(reactor);
  programs.check(spec);
  verify_experiment(programs, spec);
  return exit_status::fine;
}

int report_command(Reactor&, const Arguments& arguments) {
  po::options_description options("Options");
  po::variables_map given;
  if (!read_options("report", arguments, options, 1, given)) return exit_status::fine;
  const std::filesystem::path dir = word(given, 0, "report", "a run's folder");
  const ExperimentResult result = result_from_json(read_json(dir / "result.json"));
  const TableStyle style{isatty(STDOUT_FILENO) == 1 && may_colour()};
  std::cout << matrices(result, style) << "\n" << ranking(result, style);
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

int list_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  po::variables_map given;
  if (!read_options("list", arguments, options, 4, given)) return exit_status::fine;
  const std::vector<std::string> kinds = {"architectures", "presets", "workloads", "experiments"};
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
      for (const Preset& preset : list_presets()) lines.emplace_back(preset.name, preset.architecture + "; " + preset.description);
    } else if (kind == "workloads") {
      for (const WorkloadInfo& workload : list_workloads()) lines.emplace_back(workload.name, workload.description);
    } else if (kind == "experiments") {
      for (const ExperimentInfo& experiment : list_experiments()) lines.emplace_back(experiment.name, experiment.title);
    } else {
      throw UsageError("bakeoff list: `" + kind + "` is none of architectures, presets, workloads, experiments");
    }
    if (wanted.size() > 1) std::cout << kind << ":\n";
    for (const auto& [name, what] : lines) std::printf("%s%-24s%s\n", wanted.size() > 1 ? "  " : "", name.c_str(), what.c_str());
    std::fflush(stdout);
  }
  return exit_status::fine;
}

}  // namespace bakeoff
