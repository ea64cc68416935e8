// What `bakeoff compare` found, in the forms that other tools read.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace bakeoff {

struct ComparisonFormat {
  const char* name;
  const char* what;
  std::string (*write)(const nlohmann::json& report);  // the whole file, of compare's JSON
};
// json, markdown, github, junit.
const std::vector<ComparisonFormat>& comparison_formats();

}  // namespace bakeoff
