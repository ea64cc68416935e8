#include "harness/plan/architectures.h"

#include <sstream>

namespace bakeoff {

const std::vector<ArchitectureEntry>& architecture_entries() {
  static const std::vector<ArchitectureEntry> entries = [] {
    std::vector<ArchitectureEntry> all;
    std::istringstream registered(BAKEOFF_ARCHITECTURES);  // harness/CMakeLists.txt: "sped:1,mt:connections"
    for (std::string entry; std::getline(registered, entry, ',');) {
      const std::size_t colon = entry.find(':');
      if (colon != std::string::npos) all.push_back({entry.substr(0, colon), entry.substr(colon + 1)});
    }
    return all;
  }();
  return entries;
}

}  // namespace bakeoff
