#include "results/peaks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bakeoff {
namespace {

std::string rate_words(double rate) { return fmt::format("{:.{}f}", rate, rate < 10 ? 2 : rate < 100 ? 1 : 0); }

// An end that may lie beyond what was tried is left open.
std::string interval_words(const Peak& peak) {
  if (!peak.lower && !peak.upper) return "..";
  return (peak.lower ? rate_words(*peak.lower) + " " : "") + ".." + (peak.upper ? " " + rate_words(*peak.upper) : "");
}

std::string figure_words(const CellResult* cell, Metric metric, int decimals) {
  if (cell == nullptr || !cell->summary[metric].median) return "-";
  return fmt::format("{:.{}f}", *cell->summary[metric].median, decimals);
}

}  // namespace

std::string peak_words(const Peak& peak) {
  return fmt::format("{}: {} ({}) by {} trials{}", peak.cell_id,
                     peak.rate ? rate_words(*peak.rate) + " requests/s" : "no rate is sustained", interval_words(peak),
                     peak.answers, peak.within_tolerance ? "" : ", all that [peak] answers allows");
}

std::string peak_table(const ExperimentResult& result, const TableStyle& style) {
  if (result.peaks.empty()) return "";
  const auto measured = [&](const std::string& id) -> const CellResult* {
    const auto found = std::find_if(result.cells.begin(), result.cells.end(),
                                    [&](const CellResult& cell) { return cell.cell.id == id && cell.is_final; });
    return found == result.cells.end() ? nullptr : &*found;
  };
  std::vector<std::vector<std::string>> rows;
  bool wide = false, unsure = false;
  for (const Peak& peak : result.peaks) {
    const CellResult *at_peak = measured(peak.measured_cell), *overload = measured(peak.overload_cell);
    wide = wide || !peak.within_tolerance;
    const bool missed = at_peak != nullptr && !at_peak->valid;
    unsure = unsure || missed;
    std::string retained = "-";
    if (at_peak != nullptr && overload != nullptr) {
      const auto &one = at_peak->summary[Metric::replies_per_s].median,
                 &other = overload->summary[Metric::replies_per_s].median;
      if (one && other && *one > 0) retained = fmt::format("{:.2f}", *other / *one);
    }
    rows.push_back({peak.cell_id, interval_words(peak) + (peak.within_tolerance ? "" : " w"),
                    peak.rate ? rate_words(*peak.rate) + (missed ? "?" : "") : "none", std::to_string(peak.answers),
                    figure_words(at_peak, Metric::replies_per_s, 0), figure_words(at_peak, Metric::latency_p50_ms, 2),
                    figure_words(at_peak, Metric::latency_p99_ms, 2),
                    overload != nullptr && overload->cell.rate ? rate_words(*overload->cell.rate) : "-",
                    figure_words(overload, Metric::replies_per_s, 0), retained});
  }
  return "Highest rate sustained, in requests/s: the one that half of the trials sustain, with the interval that holds "
         "it with\n"
         "95 % probability; what fresh trials measured there; and what twice that rate left of it.\n\n" +
         plain_table(
             {"cell", "95 %", "peak", "trials", "replies/s", "p50 ms", "p99 ms", "overload", "replies/s", "retained"},
             rows, 2, style) +
         (wide ? "    w: wider than [peak] tolerance; more [peak] answers narrow it\n" : "") +
         (unsure
              ? "    ?: the fresh trials as a whole did not sustain it, which at the peak itself is as likely as not\n"
              : "");
}

}  // namespace bakeoff
