// Reading a sub-command's options: --help, and one way of naming what is wrong.
#pragma once

#include <boost/program_options.hpp>
#include <string>

#include "harness/commands/commands.h"

namespace bakeoff {

// Reads `arguments` by `options`, the words without -- into "words" (at most `most_words`). Returns false when only
// help was wanted: it has been printed. UsageError for what is not understood.
bool read_options(const std::string& command, const Arguments& arguments,
                  boost::program_options::options_description& options, std::size_t most_words,
                  boost::program_options::variables_map& given);

// An option as help shows it.
struct OptionInfo {
  std::string name;    // "out"
  std::string letter;  // "h", or empty
  std::string value;   // "DIR"; empty when it takes none
  std::string description;
};
// A sub-command's options, from the very table that it reads its own by.
std::vector<OptionInfo> options_of(Reactor& reactor, const SubCommand& command);

// The i-th word; UsageError when it is missing: "bakeoff COMMAND: expected WHAT".
std::string word(const boost::program_options::variables_map& given, std::size_t index, const std::string& command,
                 const std::string& what);

}  // namespace bakeoff
