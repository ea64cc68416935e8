// Results in the forms that other tools read. Each function returns the whole file.
#pragma once

#include <string>
#include <vector>

#include "results/model.h"

namespace bakeoff {

// A row a trial, a column a variable: what it was asked, whether it counts, every figure. RFC 4180; a figure that could not
// be had is an empty field.
std::string to_csv(const ExperimentResult& result);

// The ranking, and below it each server's matrix. `folded`: the matrices within <details>, as a GitHub step summary shows
// them.
std::string to_markdown(const ExperimentResult& result, bool folded = false);

// A test case a cell: invalid ones fail with their reasons, those not measured are skipped.
std::string to_junit(const ExperimentResult& result);

// As google-benchmark's --benchmark_format=json, for its tools/compare.py: a repetition each trial that counts. real_time
// and cpu_time are microseconds a reply, of the wall clock and of the server's CPU time.
std::string to_google_benchmark(const ExperimentResult& result);

// Bencher Metric Format: by valid cell the medians with their intervals; latency in ns, as Bencher has it.
std::string to_bencher(const ExperimentResult& result);

// A data set a server (index 0, 1 ... in `plot "file" index 0`), a line a cell, in each of which the figure's median and
// interval stand in three columns; NaN for what could not be had, and for invalid cells.
std::string to_gnuplot(const ExperimentResult& result);

struct ExportFormat {
  const char* name;
  const char* what;
  std::string (*write)(const ExperimentResult&);
};
// All of them, result.json included, in the order in which help shows them.
const std::vector<ExportFormat>& export_formats();

}  // namespace bakeoff
