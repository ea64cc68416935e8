// Latency over several trials: the trials' histograms are merged and the percentiles read off the sum, because a mean or
// median of percentiles is the percentile of nothing.
#pragma once

#include "results/model.h"

namespace bakeoff {

// Sets the latency figures' `median` to what the merged histograms of the counted trials say, where each of them has
// one; the interval, from the trials' own figures, is widened to hold it. The trials are lean (run_folder.h).
void use_merged_percentiles(CellResult& cell);

}  // namespace bakeoff
