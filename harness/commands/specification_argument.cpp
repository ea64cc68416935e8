#include "harness/commands/specification_argument.h"

#include <cstdio>

#include "harness/commands/command_line.h"
#include "harness/run/experiment.h"
#include "harness/run/progress.h"

namespace bakeoff {

namespace po = boost::program_options;

std::optional<Specification> only_specification(const std::string& command, const Arguments& arguments) {
  po::options_description options("Options");
  std::string scale;
  options.add_options()("scale", po::value(&scale), scale_help);
  po::variables_map given;
  if (!read_options(command, arguments, options, 1, given)) return std::nullopt;
  return load_specification(word(given, 0, command, "an experiment's name or file"), scale);
}

void say_if_long(const Specification& spec, const std::vector<Cell>& cells) {
  constexpr double long_s = 3600;
  const double run_s = expected_run_s(spec, cells);
  if (run_s <= long_s) return;
  std::fprintf(stderr, "%s%s takes about %s: %zu trials of %s each, with a measured time of %s (duration in [load])\n",
               spec.name.c_str(), spec.scale.empty() ? "" : (" --scale " + spec.scale).c_str(),
               duration_words(run_s).c_str(), Campaign(spec, cells, {}, Search::full).steps(),
               duration_words(expected_trial_s(spec)).c_str(), duration_words(spec.duration_s).c_str());
}

}  // namespace bakeoff
