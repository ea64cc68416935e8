#include "harness/commands/command_line.h"

#include <iostream>

#include "core/base/errors.h"

namespace bakeoff {

namespace po = boost::program_options;

namespace {

// Where options_of() wants a command's options instead of having them read.
std::vector<OptionInfo>* told_to = nullptr;

}  // namespace

std::vector<OptionInfo> options_of(Reactor& reactor, const SubCommand& command) {
  std::vector<OptionInfo> options;
  if (command.passes_options_on) return options;
  told_to = &options;
  command.run(reactor, {});
  told_to = nullptr;
  return options;
}

bool read_options(const std::string& command, const Arguments& arguments, po::options_description& options,
                  std::size_t most_words, po::variables_map& given) {
  options.add_options()("help,h", "this text");
  if (told_to != nullptr) {
    for (const auto& option : options.options()) {
      const std::string value = option->semantic()->max_tokens() > 0 ? option->semantic()->name() : "";
      const std::string both = option->canonical_display_name(po::command_line_style::allow_dash_for_short);
      told_to->push_back({option->long_name(), both.size() == 2 ? both.substr(1) : "", value.substr(0, value.find(' ')),
                          option->description()});
    }
    return false;
  }
  po::options_description all = options;
  all.add_options()("words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", static_cast<int>(most_words));
  try {
    po::store(po::command_line_parser(arguments).options(all).positional(positional).run(), given);
    po::notify(given);
  } catch (const po::too_many_positional_options_error&) {
    throw UsageError("bakeoff " + command + ": too many words; see bakeoff " + command + " --help");
  } catch (const po::error& error) {
    throw UsageError("bakeoff " + command + ": " + error.what() + "; see bakeoff " + command + " --help");
  }
  if (given.count("help") == 0) return true;
  for (const SubCommand& one : sub_commands()) {
    if (one.name == command)
      std::cout << "bakeoff " << command << " " << one.arguments << "\n" << one.summary << "\n\n";
  }
  std::cout << options;
  return false;
}

std::string word(const po::variables_map& given, std::size_t index, const std::string& command,
                 const std::string& what) {
  const auto words =
      given.count("words") == 0 ? std::vector<std::string>{} : given["words"].as<std::vector<std::string>>();
  if (index >= words.size())
    throw UsageError("bakeoff " + command + ": expected " + what + "; see bakeoff " + command + " --help");
  return words[index];
}

}  // namespace bakeoff
