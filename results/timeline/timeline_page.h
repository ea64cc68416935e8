// Several timelines as one HTML file: what is to be seen, the pictures below each other on the same time axis, and a
// player. It reads without JavaScript.
#pragma once

#include <string>
#include <vector>

#include "results/timeline/timeline.h"

namespace bakeoff {

struct TracedServer {
  Timeline timeline;
  std::vector<std::string> sentences;
  std::string remark;  // what went wrong while it was traced; mostly empty
};

// Of the longest timeline; all pictures of a page have that time axis.
std::int64_t longest_of(const std::vector<TracedServer>& servers);

// REQUIRES: at least one server. BLOCKS: disk, for the page's own style and script.
std::string timeline_page(const std::string& title, const std::string& about, const std::vector<TracedServer>& servers);

}  // namespace bakeoff
