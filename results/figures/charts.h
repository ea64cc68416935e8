// From results to the table of figures: which charts a run has, and what is in them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/figures/chart.h"
#include "results/histogram.h"
#include "results/model.h"
#include "results/reference.h"

namespace bakeoff {

// One of the runs that are drawn together.
struct ChartRun {
  std::string label;  // tells it from the others: its folder's name
  const ExperimentResult* result = nullptr;
  std::map<std::string, Histogram> latency;  // of all replies of the trials that count, by cell; may lack any
};

// The names that have a look of their own, in order: servers, or with several runs "server · run".
std::vector<std::string> series_names(const std::vector<ChartRun>& runs);

// The cells whose latency distributions are drawn: of each run each server's best one in each contest, the first
// few contests.
std::vector<std::string> cells_with_distribution(const ExperimentResult& result);

// Charts in the order in which a page shows them: the ranking, figures over the axes, the latency distribution, where
// the time went. Empty charts are left out. All together have at most `most_points` points with markers; further points
// are left out, chart by chart, and counted.
std::vector<Chart> charts_of(const std::vector<ChartRun>& runs, std::size_t most_points);

// What a paper published in a table beside what was measured, each row relative to its best. Without panels where
// nothing of it was measured.
Chart reference_chart(const ChartRun& run, const ReferenceTable& reference);

// The figure as the axis of a chart has it: "Throughput (Mbit/s)", and how it is scaled.
ChartAxis axis_of(Metric metric);
// "1KB" or "250" as a number; empty for other words.
std::optional<double> amount_of(const std::string& text);
// A cell's figure with its interval, or with the range of its trials where there is none. Empty when the figure was
// not available.
std::optional<ChartPoint> point_of(const CellResult& cell, Metric metric);

}  // namespace bakeoff
