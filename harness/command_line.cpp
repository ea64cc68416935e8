#include "harness/command_line.h"

#include <iostream>

#include "core/errors.h"

namespace bakeoff {

namespace po = boost::program_options;

bool read_options(const std::string& command, const Arguments& arguments, po::options_description& options, std::size_t most_words, po::variables_map& given) {
  options.add_options()("help,h", "this text");
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
    if (one.name == command) std::cout << "bakeoff " << command << " " << one.arguments << "\n" << one.summary << "\n\n";
  }
  std::cout << options;
  return false;
}

std::string word(const po::variables_map& given, std::size_t index, const std::string& command, const std::string& what) {
  const auto words = given.count("words") == 0 ? std::vector<std::string>{} : given["words"].as<std::vector<std::string>>();
  if (index >= words.size()) throw UsageError("bakeoff " + command + ": expected " + what + "; see bakeoff " + command + " --help");
  return words[index];
}

}  // namespace bakeoff
