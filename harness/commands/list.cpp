#include "harness/commands/commands.h"

#include <cstdio>
#include <iostream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/commands/command_line.h"
#include "harness/commands/micro_experiments.h"
#include "harness/ground/programs.h"
#include "harness/plan/outside.h"
#include "harness/plan/preset.h"
#include "harness/run/experiment.h"
#include "workloads/workload.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

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
