// A run, or several, as one HTML file: tables and drawings that need nothing, and figures that react where Vega is
// put in.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "results/figures/charts.h"
#include "results/model.h"

namespace bakeoff {

struct PageRun {
  std::string label;  // its folder's name
  ExperimentResult result;
  std::map<std::string, Histogram> latency;  // by cell
  std::string title, about;                  // of the specification; may be empty
  std::string specification;                 // its text
  std::vector<std::string> repeat;           // the commands that repeat it
  std::string where_cpu_went;                // perf's table; mostly empty
  std::optional<ReferenceTable> reference;
};

// The programs that make figures react, as text: vega, vega-lite, vega-embed in this order; empty: the page is static.
using PageScripts = std::vector<std::string>;

// From the folder node_modules of $BAKEOFF_VEGA, where the front door puts them. Empty where they are not.
// BLOCKS: disk.
PageScripts load_page_scripts();

// All charts of these runs, those of papers and references included. BLOCKS: disk.
std::vector<Chart> all_charts(const std::vector<PageRun>& runs);

// UsageError when there is nothing in the runs to show. BLOCKS: disk, for the page's own style and script.
std::string to_html(const std::vector<PageRun>& runs, const PageScripts& scripts);

}  // namespace bakeoff
