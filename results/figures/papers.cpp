#include "results/figures/papers.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "core/base/data_dir.h"
#include "core/base/errors.h"

namespace bakeoff {
namespace {

using nlohmann::json;

json read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  json read = json::parse(in, nullptr, false);
  if (!in || read.is_discarded()) throw UsageError(file.string() + ": cannot be read as JSON");
  return read;
}

// What the paper's horizontal axis is of, in our cell.
std::optional<double> place_of(const Cell& cell, const std::string& field) {
  if (field == "connections") return cell.connections;
  if (field == "workers") return cell.workers;
  if (field == "rate") return cell.rate;
  const auto found = cell.workload_set.find(field);
  return found == cell.workload_set.end() ? std::nullopt : amount_of(found->second);
}

// "knot-c-20K-100w": as Pariag's legends name a configuration.
std::string configuration(const Cell& cell, bool with_connections) {
  std::string name = cell.server;
  if (with_connections)
    name += cell.connections % 1000 == 0 ? fmt::format("-{}K", cell.connections / 1000)
                                         : fmt::format("-{}", cell.connections);
  return name + fmt::format("-{}w", cell.workers);
}

double published_value(const std::string& reference, const std::string& id) {
  const json published = read_file(data_dir() / "results" / "reference" / (reference + ".json"));
  for (const json& figure : published.at("figures")) {
    if (figure.at("id") == id) return figure.at("value").get<double>();
  }
  throw UsageError("results/figures/papers.json: results/reference/" + reference + ".json has no figure " + id);
}

bool is_better(const CellResult& a, const CellResult& b, Metric by) {
  if (a.valid != b.valid) return a.valid;
  const auto x = a.summary[by].median, y = b.summary[by].median;
  if (!x || !y) return x.has_value();
  return name_of(by).better == Better::less ? *x < *y : *x > *y;
}

Chart chart_of(const ChartRun& run, const json& figure, const std::vector<std::string>& names) {
  Chart chart;
  chart.id = figure.at("id");
  chart.title = figure.at("where").get<std::string>() + ": " + figure.at("title").get<std::string>();
  const json& x = figure.at("x");
  std::string field;
  for (const json& one : x.at("fields")) {
    const bool all = std::all_of(run.result->cells.begin(), run.result->cells.end(), [&](const CellResult& cell) {
      return place_of(cell.cell, one.at("name")).has_value();
    });
    if (!all) continue;
    field = one.at("name");
    break;
  }
  if (field.empty()) return chart;
  json chosen;
  for (const json& one : x.at("fields")) {
    if (one.at("name") == field) chosen = one;
  }
  const bool by_configuration = figure.value("series", "server") == "configuration";
  const auto servers = figure.value("servers", std::vector<std::string>{});
  const double unit = chosen.value("unit", 1.0);
  std::vector<std::string> local;
  for (const json& y : figure.at("y")) {
    const MetricName* metric = find_metric(y.at("metric").get<std::string>());
    if (metric == nullptr) throw UsageError("results/figures/papers.json: there is no figure " + y.at("metric").dump());
    ChartPanel panel;
    panel.title = figure.at("y").size() > 1 ? y.at("title").get<std::string>() : "";
    panel.place.title = chosen.at("title");
    panel.value = axis_of(metric->metric);
    panel.value.title = y.at("title");
    panel.value.scale = y.value("scale", "linear") == "log" ? ScaleKind::logarithmic : ScaleKind::linear;
    panel.value.from_zero = panel.value.scale == ScaleKind::linear;
    if (chosen.value("scale", "linear") == "log") panel.place.scale = ScaleKind::logarithmic;
    if (chosen.contains("ends")) {
      panel.place.least = chosen.at("ends").at(0).get<double>();
      panel.place.greatest = chosen.at("ends").at(1).get<double>();
    }
    std::map<std::pair<std::string, double>, const CellResult*> best;
    std::vector<std::pair<std::string, double>> order;
    for (const CellResult& cell : run.result->cells) {
      if (!servers.empty() && std::find(servers.begin(), servers.end(), cell.cell.server) == servers.end()) continue;
      const double place = *place_of(cell.cell, field) / unit;
      if (panel.place.greatest && (place > *panel.place.greatest || place < *panel.place.least)) continue;
      const std::pair key{by_configuration ? configuration(cell.cell, field != "connections") : cell.cell.server,
                          place};
      const CellResult*& one = best[key];
      if (one == nullptr) order.push_back(key);
      if (one == nullptr || is_better(cell, *one, run.result->ranked_by)) one = &cell;
    }
    for (const auto& key : order) {
      auto point = point_of(*best[key], metric->metric);
      if (!point) continue;
      point->place = key.second;
      auto found = std::find_if(panel.series.begin(), panel.series.end(),
                                [&](const ChartSeries& series) { return series.name == key.first; });
      if (found == panel.series.end()) {
        const std::vector<std::string>& known = by_configuration ? local : names;
        auto index = static_cast<std::size_t>(std::find(known.begin(), known.end(), key.first) - known.begin());
        if (index == known.size()) {
          index = local.size();
          local.push_back(key.first);
        }
        panel.series.push_back({key.first, index, false, true, true, {}});
        found = std::prev(panel.series.end());
      }
      found->points.push_back(*point);
    }
    if (panel.series.empty()) continue;
    double low = panel.series.front().points.front().place, high = low;
    for (ChartSeries& series : panel.series) {
      std::stable_sort(series.points.begin(), series.points.end(),
                       [](const ChartPoint& a, const ChartPoint& b) { return a.place < b.place; });
      low = std::min(low, series.points.front().place);
      high = std::max(high, series.points.back().place);
    }
    for (const json& one : y.value("published", json::array())) {
      ChartSeries level{one.at("says").get<std::string>(), 0, true, true, true, {}};
      for (const double place : {panel.place.least.value_or(low), panel.place.greatest.value_or(high)}) {
        ChartPoint point;
        point.place = panel.place.scale == ScaleKind::logarithmic ? std::max(place, 1e-9) : place;
        point.value = published_value(one.at("reference"), one.at("id"));
        level.points.push_back(point);
      }
      panel.series.push_back(std::move(level));
    }
    chart.panels.push_back(std::move(panel));
  }
  chart.says = "The paper's axes; the machine is another." +
               std::string(std::any_of(chart.panels.begin(), chart.panels.end(),
                                       [](const ChartPanel& panel) { return panel.series.back().published; })
                               ? " Grey: figures that the paper's text gives, as levels."
                               : " The paper's text gives no figures for it.");
  return chart;
}

}  // namespace

std::vector<Chart> paper_charts(const ChartRun& run) {
  std::vector<Chart> charts;
  const std::vector<std::string> names = series_names({run});
  const std::filesystem::path file = data_dir() / "results" / "figures" / "papers.json";
  const json papers = read_file(file);
  try {
    for (const json& figure : papers.at("figures")) {
      const auto experiments = figure.at("experiments").get<std::vector<std::string>>();
      if (std::find(experiments.begin(), experiments.end(), run.result->name) == experiments.end()) continue;
      Chart chart = chart_of(run, figure, names);
      if (points_of(chart) > 0) charts.push_back(std::move(chart));
    }
  } catch (const json::exception& error) {
    throw UsageError(file.string() + ": " + error.what());
  }
  return charts;
}

}  // namespace bakeoff
