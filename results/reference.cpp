#include "results/reference.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {
namespace {

// Our figure in the reference's unit.
std::optional<double> measured(const Summary& summary, const std::string& name) {
  if (name == "page_cache_kb") {
    const auto bytes = summary[Metric::page_cache_bytes].median;
    return bytes ? std::optional(*bytes / 1024) : std::nullopt;
  }
  for (const MetricName& metric : metric_table) {
    if (*metric.group == '\0' && name == metric.name) return summary[metric.metric].median;
  }
  return std::nullopt;
}

std::optional<double> best_of(const std::vector<std::optional<double>>& values, bool less_is_better) {
  std::optional<double> best;
  for (const auto& value : values) {
    if (!value || *value <= 0) continue;
    if (!best || (less_is_better ? *value < *best : *value > *best)) best = value;
  }
  return best;
}

std::string relative(const std::optional<double>& value, const std::optional<double>& best) {
  return value && best ? fmt::format("{:.2f}", *value / *best) : "-";
}

// The cells of one contest, a column each; null where the server has no cell or none that counts.
using Line = std::vector<const CellResult*>;

std::string contest_of(const CellResult& cell) {
  if (!cell.cell.rate) return "as fast as replies come";
  return fmt::format("{:.0f} {} per second", *cell.cell.rate,
                     cell.cell.load_model == "partly-open" ? "sessions" : "requests");
}

}  // namespace

ReferenceTable load_reference_table(const std::string& name) {
  const std::filesystem::path file = data_dir() / "results" / "reference" / (name + ".json");
  if (name.find('/') != std::string::npos || !std::filesystem::exists(file))
    throw UsageError("there is no reference `" + visible(name) + "` (" + file.string() + ")");
  const nlohmann::json json = parse_untrusted(read_untrusted(file, most_json_bytes), file.string());
  if (!json.contains("rows")) throw UsageError(file.string() + ": holds no table");
  ReferenceTable table;
  table.source = json.at("source");
  table.where = json.at("where");
  for (const auto& column : json.at("columns")) table.columns.push_back(column.at("preset"));
  for (const auto& row : json.at("rows")) {
    table.rows.push_back(
        {row.at("label"), row.value("measured_as", ""), row.value("best", "greatest") == "least", row.at("values")});
  }
  return table;
}

std::string beside_reference(const ExperimentResult& result, const ReferenceTable& reference, const TableStyle& style) {
  std::vector<std::string> contests;
  for (const CellResult& cell : result.cells) {
    const std::string contest = contest_of(cell);
    if (std::find(contests.begin(), contests.end(), contest) == contests.end()) contests.push_back(contest);
  }
  std::string text = reference.source + ", " + reference.where +
                     ", as published and as measured here, each row relative to its best (1.00).\n";
  for (const std::string& contest : contests) {
    Line line;
    for (const std::string& preset : reference.columns) {
      const CellResult* best = nullptr;
      for (const CellResult& cell : result.cells) {
        if (cell.cell.server != preset || contest_of(cell) != contest || !cell.valid) continue;
        const auto& mbps = cell.summary[Metric::throughput_mbps].median;
        if (mbps && (best == nullptr || *mbps > best->summary[Metric::throughput_mbps].median.value_or(0)))
          best = &cell;
      }
      line.push_back(best);
    }
    std::vector<std::string> heads = {contest, ""};
    heads.insert(heads.end(), reference.columns.begin(), reference.columns.end());
    heads.push_back("best");
    std::vector<std::vector<std::string>> rows;
    for (const ReferenceTable::Row& row : reference.rows) {
      if (row.measured_as.empty()) continue;
      std::vector<std::optional<double>> published, here;
      for (std::size_t c = 0; c < reference.columns.size(); ++c) {
        published.emplace_back(row.values[c]);
        here.push_back(line[c] == nullptr ? std::nullopt : measured(line[c]->summary, row.measured_as));
      }
      for (const bool is_published : {true, false}) {
        const auto& values = is_published ? published : here;
        const auto best = best_of(values, row.less_is_better);
        std::vector<std::string> cells = {is_published ? row.label : "", is_published ? "paper" : "here"};
        for (const auto& value : values) cells.push_back(relative(value, best));
        cells.push_back(best ? fmt::format("{:.0f}", *best) : "-");
        rows.push_back(std::move(cells));
      }
    }
    text += "\n";
    text += plain_table(heads, rows, 2, style);
  }
  text += "  -: no valid cell, or none to compare with.";
  std::string missing;
  for (const ReferenceTable::Row& row : reference.rows) {
    if (row.measured_as.empty()) missing += (missing.empty() ? " Not measured here: " : ", ") + row.label;
  }
  return text + missing + (missing.empty() ? "\n" : ".\n");
}

}  // namespace bakeoff
