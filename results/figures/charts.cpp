#include "results/figures/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "results/ranking.h"
#include "results/tables.h"

namespace bakeoff {
namespace {

constexpr std::size_t most_panels = 12;
constexpr std::size_t most_rows = 40;
constexpr std::size_t most_distributions = 24;
constexpr double logarithmic_from = 8;  // a ratio of an axis' ends from which a linear scale crowds its beginning

std::string joined(const std::vector<std::string>& parts, const char* between) {
  std::string all;
  for (const std::string& part : parts) {
    if (!part.empty()) all.append(all.empty() ? "" : between).append(part);
  }
  return all;
}

std::string listed(const std::vector<std::string>& names) {
  if (names.empty()) return "";
  if (names.size() == 1) return names.front();
  std::string text;
  for (std::size_t i = 0; i + 1 < names.size(); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return text + " and " + names.back();
}

// The options of the cell's variant: neither its rate nor what it asks for.
std::string option_variant(const Cell& cell) {
  std::string kept;
  std::size_t begin = 0;
  while (begin < cell.variant.size()) {
    const std::size_t end = std::min(cell.variant.find('/', begin), cell.variant.size());
    const std::string part = cell.variant.substr(begin, end - begin);
    const std::string key = part.substr(0, part.find('='));
    if (key != "rate" && !cell.workload_set.contains(key)) kept += (kept.empty() ? "" : ", ") + part;
    begin = end + 1;
  }
  return kept;
}

std::string series_name(const ChartRun& run, const Cell& cell, bool several_runs) {
  const std::string variant = option_variant(cell);
  const std::string name = variant.empty() ? cell.server : cell.server + ", " + variant;
  return several_runs ? name + " · " + run.label : name;
}

class Looks {
 public:
  explicit Looks(const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size(); ++i) index_[names[i]] = i;
  }
  std::size_t of(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, std::size_t> index_;
};

bool is_ahead(const CellResult& a, const CellResult& b, Metric by) {
  if (a.valid != b.valid) return a.valid;
  const auto x = a.summary[by].median, y = b.summary[by].median;
  if (!x || !y) return x.has_value();
  return name_of(by).better == Better::less ? *x < *y : *x > *y;
}

const CellResult* cell_named(const ExperimentResult& result, const std::string& id) {
  for (const CellResult& cell : result.cells) {
    if (cell.cell.id == id) return &cell;
  }
  return nullptr;
}

// What a server is shown by in a contest: its ranked cell, else the one that would have been closest.
const CellResult* shown_cell(const ExperimentResult& result, const std::string& server, const std::string& contest) {
  for (const Best& best : result.best) {
    if (best.server == server && best.contest == contest) return cell_named(result, best.cell_id);
  }
  const CellResult* shown = nullptr;
  for (const CellResult& cell : result.cells) {
    if (cell.cell.server != server || contest_of(cell.cell) != contest) continue;
    if (shown == nullptr || (cell.is_final && !shown->is_final) ||
        (cell.is_final == shown->is_final && is_ahead(cell, *shown, result.ranked_by)))
      shown = &cell;
  }
  return shown;
}

std::vector<std::string> servers_of(const std::vector<ChartRun>& runs) {
  std::vector<std::string> servers;
  std::set<std::string> seen;
  for (const ChartRun& run : runs) {
    for (const CellResult& cell : run.result->cells) {
      if (seen.insert(cell.cell.server).second) servers.push_back(cell.cell.server);
    }
  }
  return servers;
}

std::vector<std::string> contests_of(const std::vector<ChartRun>& runs) {
  std::vector<std::string> all;
  for (const ChartRun& run : runs) {
    for (const std::string& contest : contests(run.result->cells)) {
      if (std::find(all.begin(), all.end(), contest) == all.end()) all.push_back(contest);
    }
  }
  return all;
}

std::string contest_title(std::string contest) {
  std::replace(contest.begin(), contest.end(), '/', ' ');
  for (std::size_t at = contest.find('='); at != std::string::npos; at = contest.find('=')) contest.replace(at, 1, " ");
  std::replace(contest.begin(), contest.end(), '_', ' ');
  return contest;
}

// --- the ranking ---

Chart ranking_chart(const std::vector<ChartRun>& runs, const Looks& looks) {
  Chart chart;
  chart.id = "ranking";
  chart.dots = true;
  const Metric by = runs.front().result->ranked_by;
  chart.title = "Ranking by " + figure_words(by);
  std::vector<std::string> sentences;
  for (const std::string& contest : contests_of(runs)) {
    ChartPanel panel;
    panel.title = contest_title(contest);
    panel.value = axis_of(by);
    std::vector<std::string> order;
    std::map<std::string, const Best*> bests;
    for (const Best& best : runs.front().result->best) {
      if (best.contest != contest) continue;
      order.push_back(best.server);
      bests[best.server] = &best;
    }
    for (const std::string& server : servers_of(runs)) {
      if (std::find(order.begin(), order.end(), server) != order.end()) continue;
      const bool is_there = std::any_of(runs.begin(), runs.end(), [&](const ChartRun& run) {
        return shown_cell(*run.result, server, contest) != nullptr;
      });
      if (is_there) order.push_back(server);
    }
    if (order.size() > most_rows) {
      chart.left_out += order.size() - most_rows;
      order.resize(most_rows);
    }
    for (const std::string& server : order) {
      const auto best = bests.find(server);
      std::string rank = "–";
      if (best != bests.end()) {
        const Best& one = *best->second;
        rank = one.rank_from == one.rank_to ? fmt::format("{}", one.rank_from)
                                            : fmt::format("{}–{}", one.rank_from, one.rank_to);
      }
      panel.rows.push_back(rank + "  " + server);
      panel.may_be_first.push_back(best != bests.end() && best->second->rank_from == 1);
    }
    for (const ChartRun& run : runs) {
      for (std::size_t row = 0; row < order.size(); ++row) {
        const CellResult* cell = shown_cell(*run.result, order[row], contest);
        if (cell == nullptr) continue;
        auto point = point_of(*cell, by);
        if (!point) continue;
        point->place = static_cast<double>(row);
        const std::string name = series_name(run, cell->cell, runs.size() > 1);
        auto found = std::find_if(panel.series.begin(), panel.series.end(),
                                  [&](const ChartSeries& series) { return series.name == name; });
        if (found == panel.series.end()) {
          panel.series.push_back({name, looks.of(name), false, false, true, {}});
          found = std::prev(panel.series.end());
        }
        found->points.push_back(*point);
      }
    }
    if (panel.series.empty()) continue;
    std::vector<std::string> firsts;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (panel.may_be_first[i]) firsts.push_back(order[i]);
    }
    if (!firsts.empty()) {
      sentences.push_back((panel.title.empty() ? "" : "At " + panel.title + ": ") +
                          (firsts.size() == 1 ? firsts.front() + " is first"
                                              : listed(firsts) + " cannot be told apart from the first"));
    }
    chart.panels.push_back(std::move(panel));
  }
  if (chart.panels.size() > most_panels) {
    for (std::size_t i = most_panels; i < chart.panels.size(); ++i)
      for (const ChartSeries& series : chart.panels[i].series) chart.left_out += series.points.size();
    chart.panels.resize(most_panels);
    sentences.resize(std::min(sentences.size(), most_panels));
  }
  chart.says = joined(sentences, "; ");
  if (!chart.says.empty()) chart.says += ".";
  return chart;
}

// --- figures over the axes ---

enum class AxisKind { none, connections, rate, workload, workers };
struct Place {
  AxisKind kind = AxisKind::none;
  std::string key;  // of the workload
};

std::optional<double> place_on(const Place& axis, const Cell& cell) {
  switch (axis.kind) {
    case AxisKind::none: return std::nullopt;
    case AxisKind::connections: return cell.connections;
    case AxisKind::workers: return cell.workers;
    case AxisKind::rate: return cell.rate;
    case AxisKind::workload: {
      const auto found = cell.workload_set.find(axis.key);
      return found == cell.workload_set.end() ? std::nullopt : amount_of(found->second);
    }
  }
  return std::nullopt;
}

// The axis with the most values; of several the one that the papers' figures have.
Place main_axis(const std::vector<ChartRun>& runs) {
  std::set<std::string> keys;
  for (const ChartRun& run : runs) {
    for (const CellResult& cell : run.result->cells) {
      for (const auto& [key, value] : cell.cell.workload_set) keys.insert(key);
    }
  }
  std::vector<Place> candidates = {{AxisKind::rate, ""}};
  for (const std::string& key : keys) candidates.push_back({AxisKind::workload, key});
  candidates.push_back({AxisKind::connections, ""});
  Place chosen;
  std::size_t most = 1;
  for (const Place& candidate : candidates) {
    std::set<double> values;
    bool all = true;
    for (const ChartRun& run : runs) {
      for (const CellResult& cell : run.result->cells) {
        if (const auto place = place_on(candidate, cell.cell))
          values.insert(*place);
        else
          all = false;
      }
    }
    if (!all || values.size() <= most) continue;
    most = values.size();
    chosen = candidate;
  }
  if (chosen.kind != AxisKind::none) return chosen;
  std::set<std::uint32_t> workers;
  for (const ChartRun& run : runs) {
    for (const CellResult& cell : run.result->cells) workers.insert(cell.cell.workers);
  }
  // One number of workers a server is no axis.
  std::map<std::string, std::set<std::uint32_t>> by_server;
  for (const ChartRun& run : runs) {
    for (const CellResult& cell : run.result->cells)
      by_server[cell.cell.server + option_variant(cell.cell)].insert(cell.cell.workers);
  }
  const bool varies =
      std::any_of(by_server.begin(), by_server.end(), [](const auto& one) { return one.second.size() > 2; });
  if (varies && workers.size() > 1) return {AxisKind::workers, ""};
  return {};
}

std::string axis_name(const Place& axis) {
  switch (axis.kind) {
    case AxisKind::connections: return "connections";
    case AxisKind::workers: return "workers";
    case AxisKind::rate: return "requests offered per second";
    case AxisKind::workload: {
      std::string name = axis.key;
      std::replace(name.begin(), name.end(), '_', ' ');
      return name;
    }
    case AxisKind::none: break;
  }
  return "";
}

// What a cell is asked beside its place on the axis.
std::string panel_name(const Place& axis, const Cell& cell, bool name_connections) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : cell.workload_set) {
    if (axis.kind != AxisKind::workload || axis.key != key) parts.push_back(contest_title(key) + " " + value);
  }
  if (cell.rate && axis.kind != AxisKind::rate) parts.push_back("rate " + rate_text(*cell.rate));
  if (name_connections && axis.kind != AxisKind::connections)
    parts.push_back(fmt::format("{} connections", cell.connections));
  return joined(parts, ", ");
}

void scale_places(ChartPanel& panel) {
  double low = 0, high = 0;
  bool any = false;
  for (const ChartSeries& series : panel.series) {
    for (const ChartPoint& point : series.points) {
      low = any ? std::min(low, point.place) : point.place;
      high = any ? std::max(high, point.place) : point.place;
      any = true;
    }
  }
  if (any && low > 0 && high / low >= logarithmic_from) panel.place.scale = ScaleKind::logarithmic;
}

void sort_points(ChartSeries& series) {
  std::stable_sort(series.points.begin(), series.points.end(),
                   [](const ChartPoint& a, const ChartPoint& b) { return a.place < b.place; });
}

ChartSeries& series_in(ChartPanel& panel, const std::string& name, const Looks& looks) {
  for (ChartSeries& series : panel.series) {
    if (series.name == name) return series;
  }
  panel.series.push_back({name, looks.of(name), false, true, true, {}});
  return panel.series.back();
}

ChartPanel& panel_in(Chart& chart, const std::string& title) {
  for (ChartPanel& panel : chart.panels) {
    if (panel.title == title) return panel;
  }
  chart.panels.emplace_back();
  chart.panels.back().title = title;
  return chart.panels.back();
}

void finish(Chart& chart) {
  for (ChartPanel& panel : chart.panels) {
    for (ChartSeries& series : panel.series) sort_points(series);
    if (!chart.dots) scale_places(panel);
  }
  if (chart.panels.size() > most_panels) {
    for (std::size_t i = most_panels; i < chart.panels.size(); ++i) {
      for (const ChartSeries& series : chart.panels[i].series) chart.left_out += series.points.size();
    }
    chart.panels.resize(most_panels);
  }
}

// For each series and place the best cell over all that varies beside them (workers, mostly).
Chart curve(const std::vector<ChartRun>& runs, const Place& axis, Metric metric, const std::string& id,
            const std::string& title, const Looks& looks) {
  Chart chart;
  chart.id = id;
  chart.title = title + " over " + axis_name(axis);
  struct Key {
    std::string panel, series;
    double place;
    auto operator<=>(const Key&) const = default;
  };
  std::set<std::uint32_t> connections;
  for (const ChartRun& run : runs) {
    for (const CellResult& cell : run.result->cells) connections.insert(cell.cell.connections);
  }
  std::vector<Key> order;
  for (const ChartRun& run : runs) {
    std::map<Key, const CellResult*> chosen;
    for (const CellResult& cell : run.result->cells) {
      const auto place = place_on(axis, cell.cell);
      if (!place) continue;
      const Key key{panel_name(axis, cell.cell, connections.size() > 1), series_name(run, cell.cell, runs.size() > 1),
                    *place};
      const CellResult*& one = chosen[key];
      if (one == nullptr) order.push_back(key);
      if (one == nullptr || is_ahead(cell, *one, run.result->ranked_by)) one = &cell;
    }
    for (const Key& key : order) {
      const auto found = chosen.find(key);
      if (found == chosen.end()) continue;
      auto point = point_of(*found->second, metric);
      if (!point) continue;
      point->place = key.place;
      ChartPanel& panel = panel_in(chart, key.panel);
      panel.value = axis_of(metric);
      panel.place.title = axis_name(axis);
      panel.place.title.front() =
          static_cast<char>(std::toupper(static_cast<unsigned char>(panel.place.title.front())));
      series_in(panel, key.series, looks).points.push_back(*point);
    }
    order.clear();
  }
  finish(chart);
  return chart;
}

// For each server that has several numbers of workers: its ranking figure over them, a line for each load.
Chart worker_chart(const std::vector<ChartRun>& runs, Metric metric) {
  Chart chart;
  chart.id = "workers";
  chart.title = "Tuning: " + figure_words(metric) + " over workers";
  std::vector<std::string> loads;
  for (const ChartRun& run : runs) {
    std::map<std::string, std::map<std::string, std::set<std::uint32_t>>> workers;
    for (const CellResult& cell : run.result->cells)
      workers[series_name(run, cell.cell, runs.size() > 1)]
             [contest_of(cell.cell) + std::to_string(cell.cell.connections)]
                 .insert(cell.cell.workers);
    for (const CellResult& cell : run.result->cells) {
      const std::string server = series_name(run, cell.cell, runs.size() > 1);
      const bool varies = std::any_of(workers[server].begin(), workers[server].end(),
                                      [](const auto& one) { return one.second.size() > 1; });
      if (!varies) continue;
      auto point = point_of(cell, metric);
      if (!point) continue;
      point->place = cell.cell.workers;
      ChartPanel& panel = panel_in(chart, server);
      panel.value = axis_of(metric);
      panel.place.title = "Workers";
      const std::string load = joined({panel_name({}, cell.cell, true)}, "");
      if (std::find(loads.begin(), loads.end(), load) == loads.end()) loads.push_back(load);
      ChartSeries& series = series_in(panel, load, Looks(loads));
      series.look = static_cast<std::size_t>(std::find(loads.begin(), loads.end(), load) - loads.begin());
      series.points.push_back(*point);
    }
  }
  finish(chart);
  return chart;
}

// --- the latency distribution ---

// Positions 1 / (1 - p), six a decade, as far as there are replies to tell.
std::vector<double> percentile_places(std::uint64_t replies) {
  std::vector<double> places = {1};
  for (int step = 1;; ++step) {
    const double place = std::pow(10, step / 6.0);
    if (place > static_cast<double>(replies) || place > 1e5) return places;
    places.push_back(place);
  }
}

Chart distribution_chart(const std::vector<ChartRun>& runs, const Looks& looks) {
  constexpr std::pair<Metric, double> tabled[] = {{Metric::latency_p50_ms, 2},
                                                  {Metric::latency_p90_ms, 10},
                                                  {Metric::latency_p99_ms, 100},
                                                  {Metric::latency_p999_ms, 1000}};
  Chart chart;
  chart.id = "latency";
  chart.title = "Latency by percentile";
  for (const ChartRun& run : runs) {
    for (const std::string& id : cells_with_distribution(*run.result)) {
      const CellResult& cell = *cell_named(*run.result, id);
      const std::string name = series_name(run, cell.cell, runs.size() > 1);
      ChartSeries line{name, looks.of(name), false, true, false, {}},
          points{name, looks.of(name), false, false, true, {}};
      if (const auto histogram = run.latency.find(id);
          histogram != run.latency.end() && histogram->second.count() > 0) {
        for (const double place : percentile_places(histogram->second.count())) {
          ChartPoint point;
          point.place = place;
          point.value = static_cast<double>(histogram->second.percentile_ns(1 - 1 / place)) * 1e-6;
          point.valid = cell.valid;
          point.cell = id;
          if (point.value > 0) line.points.push_back(point);
        }
      }
      const bool has_histogram = !line.points.empty();
      for (const auto& [metric, place] : tabled) {
        if (auto point = point_of(cell, metric)) {
          point->place = place;
          points.points.push_back(*point);
          if (has_histogram) continue;
          ChartPoint all = *point;
          all.value = cell.summary.pooled[metric].value_or(point->value);
          all.lower = all.upper = std::nullopt;
          line.points.push_back(all);
        }
      }
      if (line.points.empty() && points.points.empty()) continue;
      ChartPanel& panel = panel_in(chart, contest_title(contest_of(cell.cell)));
      panel.place = {"Percentile of replies", ScaleKind::percentile, false, {}, {}};
      panel.value = {"Latency (ms)", ScaleKind::logarithmic, false, {}, {}};
      if (!line.points.empty()) panel.series.push_back(std::move(line));
      if (!points.points.empty()) panel.series.push_back(std::move(points));
    }
  }
  chart.says =
      "Lines: all replies of the best cell's trials together. Points with intervals: the percentile within a trial, "
      "over "
      "trials.";
  return chart;
}

// --- where the time went ---

struct TimeFigure {
  Metric metric;
  const char* title;
};
constexpr TimeFigure time_figures[] = {{Metric::cpu_utilisation, "Computing"},
                                       {Metric::cpu_idle_share, "Idle"},
                                       {Metric::cpu_iowait_share, "Idle, for a disk"},
                                       {Metric::disk_waiting_tasks, "Tasks waiting for a disk"},
                                       {Metric::cache_hit_share, "Requests without a read"},
                                       {Metric::server_cpu_us_per_reply, "CPU time per reply"},
                                       {Metric::waiting_ms, "Waiting, a request"},
                                       {Metric::context_switches_per_s, "Context switches"}};

// Rows of cells where these are few, else of each server's best one.
Chart time_chart(const std::vector<ChartRun>& runs, const Looks& looks) {
  Chart chart;
  chart.id = "time";
  chart.title = "Where the time went";
  chart.dots = true;
  constexpr std::size_t few = 16;
  std::vector<std::string> rows;
  std::vector<std::pair<const ChartRun*, const CellResult*>> cells;
  std::vector<std::size_t> row_of;
  const std::vector<std::string> all_contests = contests_of(runs);
  const bool has_final = std::any_of(runs.begin(), runs.end(), [](const ChartRun& run) {
    return std::any_of(run.result->cells.begin(), run.result->cells.end(),
                       [](const CellResult& cell) { return cell.is_final; });
  });
  for (const ChartRun& run : runs) {
    std::vector<std::pair<std::string, const CellResult*>> chosen;
    if (run.result->cells.size() <= few && !has_final) {
      // What all ids have in common says nothing.
      std::set<std::uint32_t> connections;
      for (const CellResult& cell : run.result->cells) connections.insert(cell.cell.connections);
      for (const CellResult& cell : run.result->cells) {
        std::string name = cell.cell.server;
        if (!cell.cell.variant.empty()) name += ", " + contest_title(cell.cell.variant);
        if (connections.size() > 1) name += fmt::format(", {} conn.", cell.cell.connections);
        name += fmt::format(", {} w.", cell.cell.workers);
        chosen.emplace_back(name, &cell);
      }
    } else {
      for (const std::string& contest : all_contests) {
        for (const std::string& server : servers_of({run})) {
          if (const CellResult* cell = shown_cell(*run.result, server, contest))
            chosen.emplace_back(joined({server, contest_title(contest)}, ", "), cell);
        }
      }
    }
    for (const auto& [name, cell] : chosen) {
      auto found = std::find(rows.begin(), rows.end(), name);
      if (found == rows.end()) {
        if (rows.size() >= most_rows) {
          ++chart.left_out;
          continue;
        }
        rows.push_back(name);
        found = std::prev(rows.end());
      }
      cells.emplace_back(&run, cell);
      row_of.push_back(static_cast<std::size_t>(found - rows.begin()));
    }
  }
  for (const TimeFigure& figure : time_figures) {
    ChartPanel panel;
    panel.title = figure.title;
    panel.value = axis_of(figure.metric);
    panel.value.scale = ScaleKind::linear;
    panel.value.from_zero = true;
    panel.rows = rows;
    double greatest = 0;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      auto point = point_of(*cells[i].second, figure.metric);
      if (!point) continue;
      point->place = static_cast<double>(row_of[i]);
      greatest = std::max(greatest, point->value);
      series_in(panel, series_name(*cells[i].first, cells[i].second->cell, runs.size() > 1), looks)
          .points.push_back(*point);
    }
    for (ChartSeries& series : panel.series) series.joined = false;
    if (greatest > 0) chart.panels.push_back(std::move(panel));
  }
  chart.says = "Computing, idle: shares of the time of the server's processors.";
  return chart;
}

// What points weigh in a page: one without a marker has no row in a table, and a short one in the data.
std::size_t weight_of(const ChartPanel& panel) {
  std::size_t weight = 0;
  for (const ChartSeries& series : panel.series)
    weight += series.marked ? series.points.size() : series.points.size() / 4;
  return weight;
}
std::size_t weight_of(const Chart& chart) {
  std::size_t weight = 0;
  for (const ChartPanel& panel : chart.panels) weight += weight_of(panel);
  return weight;
}

// Takes panels away, from the last one on, until what is left weighs at most `room`.
void fit(Chart& chart, std::size_t room) {
  while (weight_of(chart) > room && !chart.panels.empty()) {
    for (const ChartSeries& series : chart.panels.back().series) chart.left_out += series.points.size();
    chart.panels.pop_back();
  }
}

}  // namespace

std::optional<double> amount_of(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str()) return std::nullopt;
  const std::string unit = end;
  constexpr std::pair<const char*, double> units[] = {{"", 1},         {"B", 1},        {"K", 0x1p10},  {"M", 0x1p20},
                                                      {"G", 0x1p30},   {"KB", 1e3},     {"MB", 1e6},    {"GB", 1e9},
                                                      {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}};
  for (const auto& [name, factor] : units) {
    if (unit == name) return value * factor;
  }
  return std::nullopt;
}

ChartAxis axis_of(Metric metric) {
  const bool is_latency = std::string(name_of(metric).group) == "latency_ms";
  ChartAxis axis;
  axis.from_zero = !is_latency;
  switch (metric) {
    case Metric::throughput_mbps: axis.title = "Throughput (Mbit/s)"; break;
    case Metric::replies_per_s: axis.title = "Replies/s"; break;
    case Metric::relative_to_ceiling: axis.title = "Replies/s, relative to the ceiling"; break;
    case Metric::cpu_relative_to_ceiling: axis.title = "CPU time per reply, relative to the ceiling"; break;
    case Metric::server_cpu_us_per_reply: axis.title = "Server CPU time per reply (µs)"; break;
    case Metric::cpu_utilisation:
    case Metric::cpu_idle_share:
    case Metric::cpu_iowait_share: axis.title = "Share of the processors' time"; break;
    case Metric::disk_waiting_tasks: axis.title = "Tasks at once, in the mean"; break;
    case Metric::cache_hit_share: axis.title = "Share of the requests"; break;
    case Metric::waiting_ms: axis.title = "Response time less CPU time (ms)"; break;
    case Metric::context_switches_per_s: axis.title = "Context switches/s"; break;
    default:
      axis.title = is_latency ? fmt::format("Latency {} (ms)", name_of(metric).name) : figure_words(metric);
      std::replace(axis.title.begin(), axis.title.end(), '_', ' ');
  }
  if (is_latency) axis.scale = ScaleKind::logarithmic;
  return axis;
}

std::optional<ChartPoint> point_of(const CellResult& cell, Metric metric) {
  const Figure& figure = cell.summary[metric];
  if (!figure.median || !std::isfinite(*figure.median)) return std::nullopt;
  ChartPoint point;
  point.value = *figure.median;
  point.lower = figure.lower;
  point.upper = figure.upper;
  point.trials = figure.n;
  point.valid = cell.valid;
  point.cell = cell.cell.id;
  for (const std::string& reason : cell.reasons) point.reason += (point.reason.empty() ? "" : "; ") + reason;
  if (!point.lower || !point.upper) {
    point.lower = point.upper = std::nullopt;
    for (const Trial& trial : cell.trials) {
      const auto& value = trial.figures[metric];
      if (!trial.counted || !value) continue;
      point.lower = std::min(point.lower.value_or(*value), *value);
      point.upper = std::max(point.upper.value_or(*value), *value);
      point.is_range = true;
    }
  }
  if (metric == Metric::throughput_mbps || metric == Metric::replies_per_s) {
    point.of_ceiling = cell.summary[Metric::relative_to_ceiling];
  } else if (metric == Metric::server_cpu_us_per_reply) {
    point.of_ceiling = cell.summary[Metric::cpu_relative_to_ceiling];
  }
  return point;
}

std::vector<std::string> series_names(const std::vector<ChartRun>& runs) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const ChartRun& run : runs) {
    for (const CellResult& cell : run.result->cells) {
      const std::string name = series_name(run, cell.cell, runs.size() > 1);
      if (seen.insert(name).second) names.push_back(name);
    }
  }
  return names;
}

std::vector<std::string> cells_with_distribution(const ExperimentResult& result) {
  std::vector<std::string> ids;
  std::set<std::string> seen;
  for (const std::string& contest : contests(result.cells)) {
    for (const CellResult& cell : result.cells) {
      if (contest_of(cell.cell) != contest || !seen.insert(contest + "\n" + cell.cell.server).second) continue;
      const CellResult* shown = shown_cell(result, cell.cell.server, contest);
      if (shown != nullptr && shown->summary[Metric::latency_p50_ms].median && ids.size() < most_distributions)
        ids.push_back(shown->cell.id);
    }
  }
  return ids;
}

std::vector<Chart> charts_of(const std::vector<ChartRun>& runs, std::size_t most_points) {
  const Looks looks(series_names(runs));
  const bool micro = is_micro(*runs.front().result);
  std::vector<Chart> charts;
  if (!micro) charts.push_back(ranking_chart(runs, looks));
  const Place axis = main_axis(runs);
  if (axis.kind != AxisKind::none) {
    const Metric rate = micro ? Metric::replies_per_s : Metric::throughput_mbps;
    charts.push_back(curve(runs, axis, rate, "throughput", "Throughput", looks));
    if (micro) charts.push_back(curve(runs, axis, Metric::latency_mean_ms, "latency-mean", "Mean latency", looks));
    charts.push_back(curve(runs, axis, Metric::latency_p50_ms, "latency-p50", "Median latency", looks));
    charts.push_back(curve(runs, axis, Metric::latency_p99_ms, "latency-p99", "Latency, 99th percentile", looks));
    charts.push_back(curve(runs, axis, Metric::server_cpu_us_per_reply, "cpu", "Server CPU time per reply", looks));
  }
  if (!micro && axis.kind != AxisKind::workers) {
    const Metric by = runs.front().result->ranked_by;
    charts.push_back(worker_chart(runs, by == Metric::relative_to_ceiling ? Metric::throughput_mbps : by));
  }
  if (!micro) {
    charts.push_back(distribution_chart(runs, looks));
    charts.push_back(time_chart(runs, looks));
  }
  std::size_t room = most_points;
  for (Chart& chart : charts) {
    fit(chart, room);
    room -= weight_of(chart);
  }
  std::erase_if(charts, [](const Chart& chart) { return points_of(chart) == 0; });
  return charts;
}

Chart reference_chart(const ChartRun& run, const ReferenceTable& reference) {
  Chart chart;
  chart.id = "reference";
  chart.title = reference.source + ", " + reference.where + ", beside this run";
  chart.says = "Each figure relative to the best of its row: grey as published, coloured as measured here.";
  chart.dots = true;
  const auto best_of = [](const std::vector<std::optional<double>>& values, bool less) {
    std::optional<double> best;
    for (const auto& value : values) {
      if (value && *value > 0 && (!best || (less ? *value < *best : *value > *best))) best = value;
    }
    return best;
  };
  const Looks looks(series_names({run}));
  for (const std::string& contest : contests(run.result->cells)) {
    for (const ReferenceTable::Row& row : reference.rows) {
      if (row.measured_as.empty()) continue;
      const bool pages = row.measured_as == "page_cache_kb";
      const MetricName* metric = find_metric(pages ? "page_cache_bytes" : row.measured_as);
      if (metric == nullptr) continue;
      ChartPanel panel;
      panel.title = joined({row.label, contest_title(contest)}, ", ");
      panel.rows = reference.columns;
      panel.value.title = row.less_is_better ? "times the least" : "share of the greatest";
      panel.value.from_zero = true;
      std::vector<std::optional<double>> published, here;
      std::vector<std::optional<ChartPoint>> points;
      for (std::size_t c = 0; c < reference.columns.size(); ++c) {
        published.emplace_back(row.values[c]);
        const CellResult* cell = shown_cell(*run.result, reference.columns[c], contest);
        points.push_back(cell == nullptr ? std::nullopt : point_of(*cell, metric->metric));
        here.push_back(points.back() && points.back()->valid ? std::optional(points.back()->value) : std::nullopt);
      }
      const auto best_published = best_of(published, row.less_is_better), best_here = best_of(here, row.less_is_better);
      if (!best_published || !best_here) continue;
      ChartSeries paper{reference.source, 0, true, false, true, {}};
      for (std::size_t c = 0; c < reference.columns.size(); ++c) {
        ChartPoint point;
        point.place = static_cast<double>(c);
        point.value = *published[c] / *best_published;
        paper.points.push_back(point);
      }
      panel.series.push_back(std::move(paper));
      for (std::size_t c = 0; c < reference.columns.size(); ++c) {
        if (!points[c]) continue;
        ChartPoint point = *points[c];
        point.place = static_cast<double>(c);
        point.value /= *best_here;
        if (point.lower) *point.lower /= *best_here;
        if (point.upper) *point.upper /= *best_here;
        point.of_ceiling = {};
        ChartSeries& series = series_in(panel, reference.columns[c], looks);
        series.joined = false;
        series.points.push_back(point);
      }
      chart.panels.push_back(std::move(panel));
    }
  }
  return chart;
}

}  // namespace bakeoff
