#include "harness/latency.h"

#include <algorithm>

#include "results/histogram.h"

namespace bakeoff {

void use_merged_percentiles(CellResult& cell) {
  Histogram merged;
  for (const Trial& trial : cell.trials) {
    if (!trial.counted) continue;
    const nlohmann::json::json_pointer place("/load/histogram");
    if (!trial.evidence.contains(place)) return;
    merged.merge(Histogram::from_json(nlohmann::json::parse(trial.evidence.at(place).get<std::string>())));
  }
  if (merged.count() == 0) return;
  const auto put = [&](Metric metric, double value_ns) {
    Figure& figure = cell.summary[metric];
    figure.median = value_ns * 1e-6;
    if (figure.lower) figure.lower = std::min(*figure.lower, *figure.median);
    if (figure.upper) figure.upper = std::max(*figure.upper, *figure.median);
  };
  put(Metric::latency_mean_ms, merged.mean_ns());
  put(Metric::latency_p50_ms, static_cast<double>(merged.percentile_ns(0.5)));
  put(Metric::latency_p90_ms, static_cast<double>(merged.percentile_ns(0.9)));
  put(Metric::latency_p95_ms, static_cast<double>(merged.percentile_ns(0.95)));
  put(Metric::latency_p99_ms, static_cast<double>(merged.percentile_ns(0.99)));
  put(Metric::latency_p999_ms, static_cast<double>(merged.percentile_ns(0.999)));
  put(Metric::latency_max_ms, static_cast<double>(merged.max_ns()));
}

}  // namespace bakeoff
