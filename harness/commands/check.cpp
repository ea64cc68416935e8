#include "harness/commands/commands.h"

#include <cstdio>
#include <filesystem>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/toml/strict_toml.h"
#include "harness/commands/command_line.h"
#include "harness/commands/specification_argument.h"
#include "harness/ground/programs.h"
#include "harness/plan/outside.h"
#include "harness/run/experiment.h"
#include "harness/run/feasibility.h"
#include "harness/run/progress.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

// A file that defines a server of others, for [[server]] outside; it is no specification.
bool is_outside_definition(const std::string& name_or_path) {
  if (!is_path(name_or_path) || !std::filesystem::is_regular_file(name_or_path)) return false;
  const TomlTable root = TomlDocument::load(name_or_path).root();
  return root.has("program") && !root.has("server");
}

// Has it serve the smallest workload there is.
int check_outside(Reactor& reactor, const std::string& file) {
  const std::filesystem::path path = std::filesystem::absolute(file);
  const OutsideServer server = load_outside(path.string());
  // A specification that lies beside it. What JSON escapes TOML escapes in the same way.
  const std::string beside = json_text(nlohmann::json("./" + path.filename().string()));
  const Specification spec = parse_specification(
      "[workload]\nname = \"single-file\"\n[load]\nconnections = 1\n[[server]]\noutside = " + beside +
          "\nworkers = " + std::to_string(server.least_workers) + "\n",
      path.string());
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

}  // namespace bakeoff
