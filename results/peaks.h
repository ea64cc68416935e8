// What a search for peaks found, as text.
#pragma once

#include <string>

#include "results/tables.h"

namespace bakeoff {

// "sped/connections=64/workers=1: 38000 requests/s (36500 .. 39400) by 25 trials"
std::string peak_words(const Peak& peak);

// One line a cell: its peak with the interval, what it was like there, and what twice that rate left of it. Empty where
// the result has no peaks.
std::string peak_table(const ExperimentResult& result, const TableStyle& style = {});

}  // namespace bakeoff
