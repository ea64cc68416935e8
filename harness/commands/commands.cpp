#include "harness/commands/commands.h"

namespace bakeoff {

const std::vector<std::pair<int, const char*>>& exit_statuses() {
  static const std::vector<std::pair<int, const char*>> statuses = {
      {exit_status::fine, "fine"},
      {exit_status::policy_failed, "a policy failed: a regression, a server without a valid cell"},
      {exit_status::usage, "usage or specification"},
      {exit_status::undecided, "undecided (compare, unless --undecided pass)"},
      {exit_status::not_started, "a server did not start or verify, or an output cannot be written"},
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
      {"trace", "SPEC|ARCHITECTURE... [--requests N] [--duration T] [--disk MODEL] [--out DIR]",
       "show where requests wait in a server: a page that can be played, pictures, and traces for Perfetto",
       trace_command},
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

}  // namespace bakeoff
