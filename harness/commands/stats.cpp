#include "harness/commands/commands.h"

#include <charconv>
#include <iostream>

#include "core/base/errors.h"
#include "core/stats_region.h"
#include "harness/commands/command_line.h"

namespace bakeoff {

namespace po = boost::program_options;

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

}  // namespace bakeoff
