// Charts as SVG, for a page without JavaScript and for papers.
#pragma once

#include <string>
#include <vector>

#include "results/figures/chart.h"

namespace bakeoff {

// One panel as an <svg> element of that width in pixels, to stand within HTML: its colours have classes (s0, s1 ... for
// looks; ink, soft, grid, hollow, band, published), so that the page's style can change them in the dark.
std::string panel_svg(const Chart& chart, const ChartPanel& panel, double width, double font_px);

// A whole chart with its legend as an SVG file of that width: panels beside each other as far as they fit.
std::string figure_svg(const Chart& chart, double width_px, double font_px);

// A series' line and marker for a legend, as an <svg> element.
std::string swatch_svg(const ChartSeries& series, bool with_line);

// Of each name in the chart its first series, where readers need a legend to tell them: rows that are named need none.
std::vector<const ChartSeries*> legend_of(const Chart& chart);

}  // namespace bakeoff
