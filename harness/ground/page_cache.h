// The page cache is brought to the same state before each trial: what one server's trial read or drove out must not be
// the next one's luck.
#pragma once

#include <cstdint>
#include <filesystem>

#include "harness/plan/specification.h"

namespace bakeoff {

class Reactor;

// Reads every file below `root`, or has the kernel forget it; returns how many bytes these are. Interrupted when a
// signal comes meanwhile. StartError when a file cannot be read. BLOCKS: disk.
std::uint64_t bring_page_cache(Reactor& reactor, const std::filesystem::path& root, PageCache state);

}  // namespace bakeoff
