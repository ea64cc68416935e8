// Figures that the papers published, to lay what is measured beside them: results/reference/NAME.json, each with the
// place where it stands (results/schema/reference.schema.json).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "results/model.h"
#include "results/tables.h"

namespace bakeoff {

// A published table: a row a figure, a column a server.
struct ReferenceTable {
  struct Row {
    std::string label;
    std::string measured_as;  // the name of our figure; empty: it is not measured here
    bool less_is_better = false;
    std::vector<double> values;  // by column
  };
  std::string source;                // "Pariag 2007"
  std::string where;                 // "Table 1"
  std::vector<std::string> columns;  // names of the presets
  std::vector<Row> rows;
};

// UsageError when there is none of that name, or it holds no table. BLOCKS: disk.
ReferenceTable load_reference_table(const std::string& name);

// For each contest of the result (a rate, say) the rows that are measured here, as published and as measured, each
// relative to its best: the greatest, or the least that is not 0 where less is better.
std::string beside_reference(const ExperimentResult& result, const ReferenceTable& reference,
                             const TableStyle& style = {});

}  // namespace bakeoff
