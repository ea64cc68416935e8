#include "results/export.h"
#include "core/base/untrusted.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

namespace bakeoff {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// The shortest text that reads back as the same number.
std::string exact(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string rounded(const std::optional<double>& value) {
  if (!value) return "-";
  return fmt::format("{:.{}f}", *value, std::fabs(*value) < 9.995 ? 2 : 0);
}

std::string joined(const std::vector<std::string>& parts, const char* between) {
  std::string all;
  for (const std::string& part : parts) all.append(all.empty() ? "" : between).append(part);
  return all;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string options_text(const Cell& cell) {
  std::string text;
  for (const auto& [key, value] : cell.options) text += (text.empty() ? "" : " ") + key + "=" + value;
  return text;
}

std::string markdown_field(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += c == '|' ? "\\|" : c == '\n' ? " " : std::string(1, c);
  return escaped;
}

std::string markdown_row(const std::vector<std::string>& fields) {
  std::string row = "|";
  for (const std::string& field : fields) row.append(" ").append(markdown_field(field)).append(" |");
  return row.append("\n");
}

std::vector<std::string> servers_of(const ExperimentResult& result) {
  std::vector<std::string> servers;
  for (const CellResult& cell : result.cells) {
    if (std::find(servers.begin(), servers.end(), cell.cell.server) == servers.end())
      servers.push_back(cell.cell.server);
  }
  return servers;
}

const CellResult* cell_of(const ExperimentResult& result, const std::string& id) {
  const auto found = std::find_if(result.cells.begin(), result.cells.end(),
                                  [&](const CellResult& cell) { return cell.cell.id == id; });
  return found == result.cells.end() ? nullptr : &*found;
}

std::string interval(const Figure& figure) {
  return figure.lower && figure.upper ? rounded(figure.lower) + " .. " + rounded(figure.upper) : "";
}

std::string column_name(const MetricName& metric) {
  return *metric.group == '\0' ? metric.name : std::string(metric.group) + "_" + metric.name;
}

bool was_measured(const CellResult& cell) { return !cell.trials.empty(); }

// The measured time of all its trials.
double measured_s(const CellResult& cell) {
  double sum_s = 0;
  for (const Trial& trial : cell.trials) sum_s += measured_s_of(trial).value_or(0);
  return sum_s;
}

// A value of an axis as gnuplot reads it: a number as it is, any other word in quotes, "-" for none.
std::string gnuplot_value(const std::string& value) {
  if (value.empty()) return "\"-\"";
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc() && end == value.data() + value.size()) return value;
  std::string quoted = "\"";
  for (const char c : value) quoted += c == '"' ? '\'' : c;
  return quoted + "\"";
}

// The axes beside connections and workers along which the cells differ: the rate, then keys of the workload
// and options.
std::vector<std::string> further_axes(const ExperimentResult& result) {
  std::map<std::string, std::set<std::string>> values;
  bool has_rate = false;
  for (const CellResult& cell : result.cells) {
    has_rate = has_rate || cell.cell.rate;
    for (const auto* set : {&cell.cell.workload_set, &cell.cell.options}) {
      for (const auto& [key, value] : *set) values[key].insert(value);
    }
  }
  std::vector<std::string> axes;
  if (has_rate) axes.emplace_back("rate");
  for (const auto& [key, all] : values) {
    if (all.size() > 1 && key != "rate") axes.push_back(key);
  }
  return axes;
}

std::string value_on(const Cell& cell, const std::string& axis) {
  if (axis == "rate" && cell.rate) return rate_text(*cell.rate);
  for (const auto* set : {&cell.workload_set, &cell.options}) {
    if (const auto found = set->find(axis); found != set->end()) return found->second;
  }
  return "";
}

}  // namespace

std::string xml_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      // XML 1.0 has no way to write the other control characters.
      default: escaped += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return escaped;
}

std::string to_csv(const ExperimentResult& result) {
  std::string text =
      "experiment,cell,server,architecture,variant,options,workload,contest,load_model,rate,connections,workers,phase,"
      "block,attempt,started,counted,void_causes,failures,remarks,drift,"
      "ceiling_before_replies_per_s,ceiling_after_replies_per_s";
  for (const MetricName& metric : metric_table) text.append(",").append(column_name(metric));
  text += "\n";
  const auto number = [](const std::optional<double>& value) { return value ? exact(*value) : std::string(); };
  for (const CellResult& cell : result.cells) {
    for (const Trial& trial : cell.trials) {
      const std::vector<std::string> fields = {result.name,
                                               cell.cell.id,
                                               cell.cell.server,
                                               cell.cell.architecture,
                                               cell.cell.variant,
                                               options_text(cell.cell),
                                               cell.cell.workload,
                                               contest_of(cell.cell),
                                               cell.cell.load_model,
                                               number(cell.cell.rate),
                                               std::to_string(cell.cell.connections),
                                               std::to_string(cell.cell.workers),
                                               to_string(trial.key.phase),
                                               std::to_string(trial.key.block),
                                               std::to_string(trial.attempt),
                                               trial.started,
                                               trial.counted ? "true" : "false",
                                               joined(trial.void_causes, "; "),
                                               joined(trial.failures, "; "),
                                               joined(trial.remarks, "; "),
                                               number(trial.drift),
                                               number(trial.ceiling_before),
                                               number(trial.ceiling_after)};
      for (std::size_t i = 0; i < fields.size(); ++i) text.append(i == 0 ? "" : ",").append(csv_field(fields[i]));
      for (const MetricName& metric : metric_table) text.append(",").append(number(trial.figures[metric.metric]));
      text += "\n";
    }
  }
  return text;
}

std::string to_markdown(const ExperimentResult& result, bool folded) {
  std::string text = "## " + markdown_field(result.name) + "\n\n";
  if (!result.complete) text += "**Not complete:** the run was interrupted.\n\n";
  text +=
      "Each server by its best cell, contest by contest where files or rates differ. Figures are Hodges-Lehmann "
      "estimates "
      "over trials with 95 % intervals; ranks follow from pairs of trials within blocks.\n\n";
  text += markdown_row({"contest", "rank", "server", "connections", "workers", "variant", "Mbit/s", "interval",
                        "replies/s", "of ceiling", "p50 ms", "p99 ms", "CPU µs/reply", "trials"});
  text += "|:--|--:|:--|--:|--:|:--|--:|:--|--:|--:|--:|--:|--:|--:|\n";
  std::set<std::string> ranked;
  for (const Best& best : result.best) {
    const CellResult* cell = cell_of(result, best.cell_id);
    if (cell == nullptr) continue;
    ranked.insert(best.server);
    const Summary& summary = cell->summary;
    const std::string rank =
        std::to_string(best.rank_from) + (best.rank_from == best.rank_to ? "" : "–" + std::to_string(best.rank_to));
    text += markdown_row(
        {best.contest, rank, "**" + best.server + "**", std::to_string(cell->cell.connections),
         std::to_string(cell->cell.workers), cell->cell.variant, rounded(summary[Metric::throughput_mbps].median),
         interval(summary[Metric::throughput_mbps]), rounded(summary[Metric::replies_per_s].median),
         rounded(summary[Metric::relative_to_ceiling].median), rounded(summary[Metric::latency_p50_ms].median),
         rounded(summary[Metric::latency_p99_ms].median), rounded(summary[Metric::server_cpu_us_per_reply].median),
         std::to_string(summary[Metric::throughput_mbps].n)});
  }
  text += "\n";
  for (const std::string& server : servers_of(result)) {
    if (ranked.count(server) == 0) text += "- not ranked: " + server + ", no valid cell\n";
  }
  if (folded) text += "\n<details><summary>All cells</summary>\n";
  text.append("\n")
      .append(markdown_row({"cell", "counts", "Mbit/s", "interval", "trials", "remarks"}))
      .append("|:--|:--|--:|:--|--:|:--|\n");
  for (const CellResult& cell : result.cells) {
    const Figure& mbps = cell.summary[Metric::throughput_mbps];
    text += markdown_row({cell.cell.id, cell.valid ? "yes" : "no", rounded(mbps.median), interval(mbps),
                          std::to_string(mbps.n), joined(cell.reasons, "; ")});
  }
  if (folded) text += "\n</details>\n";
  return text;
}

std::string to_junit(const ExperimentResult& result) {
  std::size_t failures = 0, skipped = 0;
  double all_s = 0;
  std::string cases;
  for (const CellResult& cell : result.cells) {
    cases += "    <testcase classname=\"" + xml_text(result.name + "." + cell.cell.server) + "\" name=\"" +
             xml_text(cell.cell.id) + "\" time=\"" + exact(measured_s(cell)) + "\"";
    all_s += measured_s(cell);
    if (!was_measured(cell)) {
      ++skipped;
      cases += ">\n      <skipped message=\"not measured\"/>\n    </testcase>\n";
    } else if (!cell.valid) {
      ++failures;
      cases += ">\n      <failure type=\"invalid\" message=\"" + xml_text(joined(cell.reasons, "; ")) +
               "\"/>\n    </testcase>\n";
    } else {
      cases += ">\n      <system-out>";
      for (const MetricName& metric : metric_table) {
        const Figure& figure = cell.summary[metric.metric];
        if (figure.median) cases += xml_text(path_of(metric) + " " + exact(*figure.median)) + "\n";
      }
      cases += "</system-out>\n    </testcase>\n";
    }
  }
  const std::string counts = "tests=\"" + std::to_string(result.cells.size()) + "\" failures=\"" +
                             std::to_string(failures) + "\" errors=\"0\" skipped=\"" + std::to_string(skipped) +
                             "\" time=\"" + exact(all_s) + "\"";
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites " + counts + ">\n  <testsuite name=\"" +
         xml_text("bakeoff " + result.name) + "\" " + counts + ">\n" + cases + "  </testsuite>\n</testsuites>\n";
}

std::string to_google_benchmark(const ExperimentResult& result) {
  const json environment = result.environment.is_object() ? result.environment : json::object();
  const auto known = [&](const char* key) { return environment.value(key, json()); };
  ordered_json context = {
      {"date", known("captured")},
      {"executable", "bakeoff"},
      {"num_cpus", known("processors")},
      {"mhz_per_cpu", 0},  // compare.py wants the key; what the clock did cannot be said in one number
      {"cpu_scaling_enabled", !known("governor").is_null() && known("governor") != "performance"},
      {"caches", ordered_json::array()},
      {"library_build_type", "release"},
      {"experiment", result.name},
      {"spec_sha256", result.spec_sha256}};
  ordered_json benchmarks = ordered_json::array();
  std::size_t family = 0;
  for (const CellResult& cell : result.cells) {
    std::vector<const Trial*> trials;
    for (const Trial& trial : cell.trials) {
      if (cell.valid && trial.counted && trial.figures[Metric::replies_per_s].value_or(0) > 0) trials.push_back(&trial);
    }
    for (std::size_t i = 0; i < trials.size(); ++i) {
      const Figures& figures = trials[i]->figures;
      const double real_us = 1e6 / *figures[Metric::replies_per_s];
      ordered_json one = {{"name", cell.cell.id},
                          {"family_index", family},
                          {"per_family_instance_index", 0},
                          {"run_name", cell.cell.id},
                          {"run_type", "iteration"},
                          {"repetitions", trials.size()},
                          {"repetition_index", i},
                          {"threads", cell.cell.workers},
                          {"iterations", 1},
                          {"real_time", real_us},
                          // compare.py divides by it: what was not available is the wall clock's
                          {"cpu_time", figures[Metric::server_cpu_us_per_reply].value_or(real_us)},
                          {"time_unit", "us"},
                          {"items_per_second", *figures[Metric::replies_per_s]}};
      if (const auto& mbps = figures[Metric::throughput_mbps]) one["bytes_per_second"] = *mbps * 1e6 / 8;
      if (const auto& p99 = figures[Metric::latency_p99_ms]) one["latency_p99_ms"] = *p99;
      benchmarks.push_back(std::move(one));
    }
    if (!trials.empty()) ++family;
  }
  return json_text(ordered_json{{"context", context}, {"benchmarks", benchmarks}}, 1) + "\n";
}

std::string to_bencher(const ExperimentResult& result) {
  ordered_json all = ordered_json::object();
  struct Measure {
    const char* name;
    Metric metric;
    double factor;
  };
  constexpr Measure measures[] = {{"throughput", Metric::replies_per_s, 1},
                                  {"latency", Metric::latency_mean_ms, 1e6},
                                  {"latency-p50", Metric::latency_p50_ms, 1e6},
                                  {"latency-p99", Metric::latency_p99_ms, 1e6},
                                  {"server-cpu-time", Metric::server_cpu_us_per_reply, 1e3},
                                  {"memory", Metric::memory_bytes, 1},
                                  {"relative-to-ceiling", Metric::relative_to_ceiling, 1}};
  for (const CellResult& cell : result.cells) {
    if (!cell.valid) continue;
    for (const Measure& measure : measures) {
      const Figure& figure = cell.summary[measure.metric];
      if (!figure.median) continue;
      ordered_json& one = all[cell.cell.id][measure.name];
      one["value"] = *figure.median * measure.factor;
      if (figure.lower) one["lower_value"] = *figure.lower * measure.factor;
      if (figure.upper) one["upper_value"] = *figure.upper * measure.factor;
    }
  }
  return json_text(all, 1) + "\n";
}

std::string to_gnuplot(const ExperimentResult& result) {
  const std::vector<std::string> axes = further_axes(result);
  // The script below plots the ranking figure over the rate where there is one, else over connections.
  const bool by_rate = std::find(axes.begin(), axes.end(), "rate") != axes.end();
  const std::size_t first_figure = 3 + axes.size();
  std::size_t figure = first_figure;
  for (const MetricName& metric : metric_table) {
    if (metric.metric == result.ranked_by) break;
    figure += 3;
  }
  std::string data, plots;
  std::size_t index = 0;
  for (const std::string& server : servers_of(result)) {
    data += fmt::format("{}# index {}: {}\n# 1:connections 2:workers", index == 0 ? "" : "\n\n", index, server);
    std::size_t column = 3;
    for (const std::string& axis : axes) data += fmt::format(" {}:{}", column++, axis);
    for (const MetricName& metric : metric_table) {
      data += fmt::format(" {}:{}", column, column_name(metric));
      column += 3;
    }
    data += fmt::format(" {}:cell\n", column);
    std::vector<const CellResult*> cells;
    for (const CellResult& cell : result.cells) {
      if (cell.cell.server == server) cells.push_back(&cell);
    }
    std::stable_sort(cells.begin(), cells.end(), [](const CellResult* a, const CellResult* b) {
      return std::tie(a->cell.rate, a->cell.workers, a->cell.connections) <
             std::tie(b->cell.rate, b->cell.workers, b->cell.connections);
    });
    for (const CellResult* cell : cells) {
      data += fmt::format("{} {}", cell->cell.connections, cell->cell.workers);
      for (const std::string& axis : axes) data += " " + gnuplot_value(value_on(cell->cell, axis));
      for (const MetricName& metric : metric_table) {
        const Figure& value = cell->summary[metric.metric];
        for (const auto& one : {value.median, value.lower, value.upper})
          data.append(" ").append(cell->valid && one ? exact(*one) : "NaN");
      }
      data += " \"" + cell->cell.id + "\"\n";
    }
    // A cell without an interval is drawn as a point.
    plots += fmt::format(
        "{}$data index {} using {}:{} with points notitle pointtype {} linecolor {}, \\\n     $data index {} "
        "using {}:{}:{}:{} with yerrorbars title \"{}\" pointtype {} linecolor {}",
        index == 0 ? "plot " : ", \\\n     ", index, by_rate ? 3 : 1, figure, index + 1, index + 1, index,
        by_rate ? 3 : 1, figure, figure + 1, figure + 2, server, index + 1, index + 1);
    ++index;
  }
  return fmt::format(
      "# {}: gnuplot -p FILE draws it; set another column in the last lines for another figure or axis\n"
      "$data << END_OF_DATA\n{}END_OF_DATA\n"
      "set xlabel \"{}\"\nset ylabel \"{}\" noenhanced\nset key noenhanced outside\nset logscale x\n{}\n",
      result.name, data, by_rate ? "requests per second" : "connections", path_of(name_of(result.ranked_by)), plots);
}

const std::vector<ExportFormat>& export_formats() {
  static const std::vector<ExportFormat> formats = {
      {"json", "result.json, by results/schema/result.schema.json",
       [](const ExperimentResult& result) { return json_text(to_json(result), 1) + "\n"; }},
      {"csv", "a row a trial", to_csv},
      {"markdown", "tables for a page", [](const ExperimentResult& result) { return to_markdown(result); }},
      {"github", "a step summary: append it to $GITHUB_STEP_SUMMARY",
       [](const ExperimentResult& result) { return to_markdown(result, true); }},
      {"junit", "a test case a cell", to_junit},
      {"google-benchmark", "for google-benchmark's tools/compare.py", to_google_benchmark},
      {"bencher", "Bencher Metric Format", to_bencher},
      {"gnuplot", "a data set a server", to_gnuplot},
  };
  return formats;
}

}  // namespace bakeoff
