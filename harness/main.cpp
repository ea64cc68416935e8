// bakeoff: compares server architectures. This file finds the sub-command and turns errors into exit statuses.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/base/version.h"
#include "core/toml/strict_toml.h"
#include "harness/commands/commands.h"
#include "harness/processes/guard.h"

namespace bakeoff {
namespace {

void print_help(std::ostream& out) {
  out << "bakeoff COMMAND ...\n\n";
  std::size_t width = 0;
  for (const SubCommand& command : sub_commands())
    width = std::max(width, std::string(command.name).size() + 1 + std::string(command.arguments).size());
  for (const SubCommand& command : sub_commands()) {
    std::string call = std::string(command.name) + " " + command.arguments;
    call.resize(width, ' ');
    out << "  " << call << "  " << command.summary << "\n";
  }
  out << "\nbakeoff COMMAND --help says more.\nExit status:";
  for (const auto& [status, meaning] : exit_statuses()) out << (status == 0 ? " " : "; ") << status << " " << meaning;
  out << ".\n";
}

int dispatch(const Arguments& words) {
  if (words.empty()) {
    print_help(std::cerr);
    return exit_status::usage;
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_help(std::cout);
    return exit_status::fine;
  }
  if (words[0] == "--version") {
    std::cout << version_line("bakeoff") << std::flush;
    return exit_status::fine;
  }
  std::vector<std::string> names;
  for (const SubCommand& command : sub_commands()) {
    names.push_back(command.name);
    if (words[0] != command.name) continue;
    start_guard();
    Reactor reactor;
    return command.run(reactor, {words.begin() + 1, words.end()});
  }
  const std::string near = nearest_word(words[0], names);
  throw UsageError("there is no command `" + words[0] + "`; " +
                   (near.empty() ? "see bakeoff --help" : "did you mean `" + near + "`?"));
}

// A command puts its own name before what it says of its arguments. A message may quote a name that somebody
// else chose.
int complain(const std::string& what, int status) {
  std::fprintf(stderr, "%s%s\n", what.starts_with("bakeoff ") ? "" : "bakeoff: ", visible(what, "\n\t").c_str());
  return status;
}

// Output that could not be written is a failure, whatever the rest did.
bool all_was_written() {
  std::cout.flush();
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
}

}  // namespace
}  // namespace bakeoff

int main(int argc, char** argv) {
  using namespace bakeoff;
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow any more (ulimit -f) is an error of the write
  make_new_throw_out_of_memory();
  try {
    const int status = dispatch({argv + 1, argv + argc});
    return all_was_written() ? status : complain("cannot write to standard output", exit_status::not_started);
  } catch (const UsageError& error) {
    return complain(error.what(), exit_status::usage);
  } catch (const StartError& error) {
    return complain(error.what(), exit_status::not_started);
  } catch (const Interrupted&) {
    return complain("interrupted", exit_status::interrupted);
  } catch (const nlohmann::json::exception& error) {
    // Only a file that somebody changed holds what the code does not expect there.
    return complain(("a file of the run is damaged: " + plain_words(error)).c_str(), exit_status::usage);
  } catch (const std::exception& error) {
    return complain(error.what(), exit_status::not_started);
  }
}
