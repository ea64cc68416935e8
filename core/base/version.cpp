#include "core/base/version.h"

#include <iostream>
#include <string_view>

namespace bakeoff {

std::string version_line(const std::string& program) {
  const std::string revision = BAKEOFF_REVISION;
  return program + ", bakeoff " BAKEOFF_VERSION ", revision " + (revision.empty() ? "unknown" : revision) +
         ", " BAKEOFF_BUILD_TYPE "\n";
}

bool answered_version(int argc, const char* const* argv, const std::string& program) {
  if (argc != 2 || std::string_view(argv[1]) != "--version") return false;
  std::cout << version_line(program) << std::flush;
  return true;
}

}  // namespace bakeoff
