// Results in the forms that other tools read. Each function returns the whole file.
#pragma once

#include <string>
#include <vector>

#include "results/model.h"

namespace bakeoff {

// A row a trial, a column a variable: what it was asked, whether it counts, every figure. RFC 4180; a figure that is
// missing is an empty field.
std::string to_csv(const ExperimentResult& result);

// The ranking, and below it each server's matrix. `folded`: the matrices within <details>, as a GitHub step summary
// shows them.
std::string to_markdown(const ExperimentResult& result, bool folded = false);

// A test case a cell, with the measured time of its trials: invalid ones fail with their reasons, those not measured
// are skipped. `bakeoff run --strict` ends with status 1 exactly when one fails here.
std::string to_junit(const ExperimentResult& result);

// As google-benchmark's --benchmark_format=json, for its tools/compare.py: a repetition each trial that counts.
// real_time and cpu_time are microseconds a reply, of the wall clock and of the server's CPU time.
std::string to_google_benchmark(const ExperimentResult& result);

// Bencher Metric Format: by valid cell the medians with their intervals; latency in ns, as Bencher has it.
std::string to_bencher(const ExperimentResult& result);

// A gnuplot script with its data: `gnuplot -p FILE` draws the ranking figure over connections, or over the rate where
// there is one. Each server is a data set, each cell a line: connections, workers, rate and the other axes along which
// cells differ, then each figure's estimate and interval in three columns; NaN for what was not available, and for
// invalid cells.
std::string to_gnuplot(const ExperimentResult& result);

// With XML's own characters escaped, for text and attributes.
std::string xml_text(const std::string& text);

struct ExportFormat {
  const char* name;
  const char* what;
  std::string (*write)(const ExperimentResult&);
};
// All of them, result.json included, in the order in which help shows them.
const std::vector<ExportFormat>& export_formats();

}  // namespace bakeoff
