// The table of figures: what is drawn, with all data, before anybody decides how. The drawing (svg.h), the Vega-Lite
// specification (vega_lite.h) and the page's tables are made from it alone, so that they show the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "results/statistics.h"

namespace bakeoff {

// percentile: positions are 1 / (1 - p) on a logarithmic scale, so that 90 %, 99 % and 99.9 % are equally far apart.
enum class ScaleKind { linear, logarithmic, percentile };

struct ChartAxis {
  std::string title;  // with the unit
  ScaleKind scale = ScaleKind::linear;
  bool from_zero = false;
  std::optional<double> least, greatest;  // ends that are given, of a paper's axis; empty: as the data need
};

struct ChartPoint {
  double place = 0;  // on the horizontal axis of lines; the row's index in dots
  double value = 0;
  std::optional<double> lower, upper;  // the interval
  bool is_range = false;               // the limits are the least and the greatest trial, too few for an interval
  bool valid = true;                   // else it is drawn hollow
  std::uint32_t trials = 0;
  std::string cell;    // its id; empty: there is none
  std::string reason;  // why it is not valid, or what a reader should know
  Figure of_ceiling;   // the same relative to the ceiling program's; empty where that means nothing
};

struct ChartSeries {
  std::string name;
  std::size_t look = 0;    // colour, marker and dashes: the same for a name in all charts of a page
  bool published = false;  // by a paper: drawn grey, behind
  bool joined = true;      // by a line, in lines
  bool marked = true;      // by a marker for each point
  std::vector<ChartPoint> points;
};

struct ChartPanel {
  std::string title;               // empty where there is one panel
  ChartAxis place, value;          // dots have no axis of places
  std::vector<std::string> rows;   // of dots, from above
  std::vector<bool> may_be_first;  // of dots: rows that cannot be told apart from the first; empty: no ranking
  std::vector<ChartSeries> series;
};

struct Chart {
  std::string id;     // "ranking", "throughput": a file's name, and an anchor in the page
  std::string title;  // "Throughput over connections"
  std::string says;   // the alternative text: what is drawn, and what stands out
  bool dots = false;  // a row for each server, values to the right; else lines over a numeric axis
  std::vector<ChartPanel> panels;
  std::size_t left_out = 0;  // points that are not drawn, because there are too many
};

std::size_t points_of(const Chart& chart);

// "12.3k", "0.0123", "1,200": as axes and tables of figures write numbers; three digits.
std::string short_number(double value);

// Where an axis has its marks, from at most `low` to at least `high`.
struct Ticks {
  double low = 0, high = 1;
  std::vector<double> marks;
};
// About `count` marks. A logarithmic axis needs low > 0.
Ticks ticks_of(ScaleKind scale, double low, double high, std::size_t count);
std::string tick_text(ScaleKind scale, double mark);

// The axis that holds all values and limits of the panels' series. Values of 0 and less are left out of
// logarithmic ones.
Ticks value_ticks(const ChartPanel& panel, std::size_t count);
Ticks place_ticks(const ChartPanel& panel, std::size_t count);

}  // namespace bakeoff
