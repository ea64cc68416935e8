// What a binary says to --version.
#pragma once

#include <string>

namespace bakeoff {

// "sped, bakeoff 0.1.0, revision 1a2b3c4d5e6f, Release\n". The revision is that of the last commit when it was built.
// Changes since then show only in the hashes in environment.json.
std::string version_line(const std::string& program);

// Whether the command line is --version alone; it has been answered on standard output then. StartError when that
// cannot be written.
bool answered_version(int argc, const char* const* argv, const std::string& program);

}  // namespace bakeoff
