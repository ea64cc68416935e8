// A preset: one of the papers' servers as an architecture and its factors, in architectures/presets/NAME.toml:
//     architecture = "symped"
//     paper = "Pariag 2007"
//     section = "5.1, 5.3 and Table 1"
//     description = "..."
//     [options]
//     send = "nonblocking"
//     workers = 4                              # or "processors": as many as this process may run on
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/plan/specification.h"

namespace bakeoff {

struct Preset {
  std::string name;
  std::string architecture;
  std::string paper;
  std::string section;
  std::string description;
  std::vector<std::pair<std::string, std::string>> options;
};

// A shipped one by its name, or any by the path of its file. Empty when there is none. UsageError for what is wrong in
// its file. BLOCKS: disk.
std::optional<Preset> find_preset(const std::string& name_or_path);
std::filesystem::path presets_dir();
std::vector<Preset> list_presets();

}  // namespace bakeoff
