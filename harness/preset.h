// A preset: one of the papers' servers as an architecture and its factors, in architectures/presets/NAME.toml:
//     architecture = "symped"
//     description = "..."
//     [options]
//     send = "nonblocking"
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/specification.h"

namespace bakeoff {

struct Preset {
  std::string name;
  std::string architecture;
  std::string description;
  std::vector<std::pair<std::string, std::string>> options;
};

// Empty when there is none of that name. UsageError for what is wrong in its file. BLOCKS: disk.
std::optional<Preset> find_preset(const std::string& name);
std::vector<Preset> list_presets();

}  // namespace bakeoff
