// The architectures that were built: whatever add_architecture() was called for.
#pragma once

#include <string>
#include <vector>

namespace bakeoff {

struct ArchitectureEntry {
  std::string name;
  std::string workers;  // in a specification that names none: a number, or "connections"
};

// In the order of their registration.
const std::vector<ArchitectureEntry>& architecture_entries();

}  // namespace bakeoff
