#include "core/base/version.h"

#include <string_view>

#include "core/base/standard_output.h"

namespace bakeoff {

std::string version_line(const std::string& program) {
  const std::string revision = BAKEOFF_REVISION;
  return program + ", bakeoff " BAKEOFF_VERSION ", revision " + (revision.empty() ? "unknown" : revision) +
         ", " BAKEOFF_BUILD_TYPE "\n";
}

bool answered_version(int argc, const char* const* argv, const std::string& program) {
  if (argc != 2 || std::string_view(argv[1]) != "--version") return false;
  write_to_standard_output(version_line(program));
  return true;
}

}  // namespace bakeoff
