// Histograms as HdrHistogram's tools exchange them, so that those tools read ours.
#pragma once

#include <string>

#include "results/histogram.h"

namespace bakeoff {

// HdrHistogram's compressed V2 encoding in base64: three significant digits, from 1 ns to the histogram's maximum.
std::string to_hdr_v2(const Histogram& histogram);

// A histogram log (version 1.3) of one interval, as HistogramLogProcessor reads it; the tools show its ns as ms.
// from_s: seconds since 1970; 0 where nobody knows them.
std::string to_hdr_log(const Histogram& histogram, double from_s, double length_s);

}  // namespace bakeoff
