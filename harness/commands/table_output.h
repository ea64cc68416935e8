// Tables on standard output, as run and report print them.
#pragma once

#include <string>

#include "harness/plan/specification.h"
#include "results/tables.h"

namespace bakeoff {

constexpr const char* wide_help = "tables with all columns, however wide";

// As wide as the terminal, 100 columns where there is none, without a limit when `wide`. Colours on a terminal alone.
TableStyle style_of_stdout(bool wide);

// The result beside what a paper published; empty when the specification names no reference.
// Throws SpecError when the reference cannot be read.
std::string beside(const Specification& spec, const ExperimentResult& result, const TableStyle& style);

}  // namespace bakeoff
