#include "harness/commands/commands.h"

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>

#include "core/base/errors.h"
#include "harness/commands/explain.h"
#include "harness/ground/programs.h"
#include "harness/plan/preset.h"

namespace bakeoff {

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

}  // namespace bakeoff
