#include "harness/commands/commands.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <set>

#include "core/base/errors.h"
#include "harness/commands/command_line.h"
#include "harness/commands/specification_argument.h"
#include "harness/commands/table_output.h"
#include "harness/ground/programs.h"
#include "harness/hosts/server_host.h"
#include "harness/machine/profile.h"
#include "harness/plan/plan.h"
#include "harness/run/experiment.h"
#include "harness/run/feasibility.h"
#include "harness/run/kept_inputs.h"
#include "harness/run/progress.h"
#include "harness/run/run_page.h"
#include "harness/run/stored_result.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

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

// On the host where the server is; the folder comes back with what the run wrote.
int run_elsewhere(Programs& programs, const Specification& spec, const std::filesystem::path& folder, Search search,
                  const Telling& telling, bool resume) {
  std::vector<std::string> options;
  if (!resume && !spec.scale.empty()) options.insert(options.end(), {"--scale", spec.scale});
  if (!resume && spec.profile) options.emplace_back("--profile");
  if (telling.strict) options.emplace_back("--strict");
  const int status = run_on_server_host(programs, spec, folder, command_of(search), options, resume);
  if (std::ifstream tables(folder / "tables.txt"); tables) std::cout << "\n" << tables.rdbuf() << std::flush;
  if (!telling.quiet) std::fprintf(stderr, "result: %s/result.json\n", folder.c_str());
  return status;
}

// The specification that a run's folder holds: from here on, of the copies that the folder has of all it names.
Specification kept_specification(const RunFolder& folder, const std::string& scale, const std::string& name,
                                 bool profile) {
  Specification spec = load_specification(folder.spec_file().string(), scale);
  if (!name.empty()) spec.name = name;
  spec.profile = profile;
  return spec;
}

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
      if (is_server_elsewhere(spec.hosts)) return run_elsewhere(programs, spec, folder.path(), search, telling, true);
      programs.check(spec);
      return with_folder(programs, spec, folder, search, telling);
    }
  }
  Specification spec = load_specification(word(given, 0, command, "an experiment's name or file"), scale);
  spec.profile = spec.profile || profile;
  if (is_server_elsewhere(spec.hosts)) {
    RunFolder folder = RunFolder::create(out.empty() ? fresh_folder(spec.name) : std::filesystem::path(out));
    folder.write("spec.toml", spec.source_text);
    keep_inputs(spec, folder);
    return run_elsewhere(programs, spec, folder.path(), search, telling, false);
  }
  // Errors are reported before anything is made.
  const std::vector<Cell> cells = feasible_cells(programs, spec, search);
  if (search == Search::full) say_if_long(spec, cells);
  RunFolder folder = RunFolder::create(out.empty() ? fresh_folder(spec.name) : std::filesystem::path(out));
  folder.write("spec.toml", spec.source_text);
  keep_inputs(spec, folder);
  return with_folder(programs, kept_specification(folder, spec.scale, spec.name, spec.profile), folder, search,
                     telling);
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

}  // namespace bakeoff
