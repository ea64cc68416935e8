// The highest rate that a server sustains: bracketing by doubling and halving, then bisection. It says which rate to try and
// is told what came of it; who measures, and how often, is not its business.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bakeoff {

struct PeakLimits {
  double start = 1000;       // requests a second, tried first
  double most = 10'000'000;  // never tried beyond
  double least = 1;          // nor below
  double tolerance = 0.05;   // the bracket's width over its lower end, at which the search ends
};

class PeakSearch {
 public:
  explicit PeakSearch(PeakLimits limits) : limits_(limits) {}

  // The rate to try next; empty when the search is over.
  std::optional<double> next() const;
  // What came of that rate.
  void judge(double rate, bool sustained);

  // The highest rate that was sustained and lies below all that were not; empty when none was.
  std::optional<double> peak() const;
  // Lowest rate that was not sustained; empty when all were.
  std::optional<double> too_much() const;
  // "1000 yes, 2000 yes, 4000 no, 2830 no ..."
  const std::string& path() const { return path_; }

 private:
  PeakLimits limits_;
  std::map<double, bool> tried_;
  std::string path_;
};

// Three significant digits: rates that people can read, and cell ids that stay the same.
double round_rate(double rate);

}  // namespace bakeoff
