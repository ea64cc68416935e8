// Files of /proc and /sys, which have no size before they are read.
#pragma once

#include <optional>
#include <string>

namespace bakeoff {

// The whole file; empty when it cannot be read.
std::optional<std::string> read_small_file(const std::string& path);

}  // namespace bakeoff
