#include "results/page/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "results/figures/look.h"
#include "results/figures/markup.h"
#include "results/figures/papers.h"
#include "results/figures/svg.h"
#include "results/figures/vega_lite.h"
#include "results/page/document.h"
#include "results/peaks.h"
#include "results/placement.h"
#include "results/ranking.h"
#include "results/tables.h"

namespace bakeoff {
namespace {

// So many points and rows make a page of well under 1.5 MB with Vega in it.
constexpr std::size_t most_points = 640;
constexpr std::size_t most_cell_rows = 200;
constexpr std::size_t most_reason_rows = 60;
constexpr std::size_t most_environment_bytes = 30'000;
constexpr double panel_width = 400, panel_font = 13;

std::string number(const std::optional<double>& value) { return value ? short_number(*value) : "–"; }

std::string with_interval(const Figure& figure) {
  if (!figure.median) return "–";
  std::string text = short_number(*figure.median);
  if (figure.lower && figure.upper)
    text += fmt::format(" <small>{} – {}</small>", short_number(*figure.lower), short_number(*figure.upper));
  return text;
}

const CellResult* cell_of(const ExperimentResult& result, const std::string& id) {
  for (const CellResult& cell : result.cells) {
    if (cell.cell.id == id) return &cell;
  }
  return nullptr;
}

std::string ranking_table(const PageRun& run, bool several) {
  const ExperimentResult& result = run.result;
  std::vector<std::vector<std::string>> rows;
  const bool by_contest = contests(result.cells).size() > 1;
  const bool has_variants = std::any_of(result.cells.begin(), result.cells.end(),
                                        [](const CellResult& cell) { return !cell.cell.variant.empty(); });
  std::vector<std::string> heads = {"Rank", "Server"};
  if (by_contest) heads.insert(heads.begin(), "Contest");
  if (has_variants) heads.push_back("Variant");
  const std::size_t names = heads.size();
  heads.push_back(figure_head(result.ranked_by));
  heads.insert(heads.end(), {"of first", "Mbit/s", "replies/s", "p50 ms", "p99 ms", "CPU µs/reply", "connections",
                             "workers", "trials"});
  for (const Best& best : result.best) {
    const CellResult* cell = cell_of(result, best.cell_id);
    if (cell == nullptr) continue;
    const Summary& summary = cell->summary;
    std::vector<std::string> row;
    if (by_contest) row.push_back(isolated(best.contest));
    row.push_back(best.rank_from == best.rank_to ? fmt::format("{}", best.rank_from)
                                                 : fmt::format("{}–{}", best.rank_from, best.rank_to));
    row.push_back("<b>" + isolated(best.server) + "</b>");
    if (has_variants) row.push_back(isolated(cell->cell.variant));
    row.push_back("<b>" + with_interval(summary[result.ranked_by]) + "</b>");
    row.push_back(best.of_first.median ? with_interval(best.of_first) : "");
    for (const Metric metric : {Metric::throughput_mbps, Metric::replies_per_s, Metric::latency_p50_ms,
                                Metric::latency_p99_ms, Metric::server_cpu_us_per_reply})
      row.push_back(with_interval(summary[metric]));
    row.push_back(std::to_string(cell->cell.connections));
    row.push_back(std::to_string(cell->cell.workers) + worker_mark(result.environment, cell->cell.workers));
    row.push_back(std::to_string(summary[result.ranked_by].n));
    rows.push_back(std::move(row));
  }
  return table_element("Ranking" + (several ? ", " + run.label : "") + ": estimates with 95 % intervals", heads, names,
                       rows);
}

// A warning before the ranks: too few trials to tell servers apart.
std::string too_few(const PageRun& run) {
  std::map<std::string, std::pair<std::size_t, std::uint32_t>> contests;  // servers, fewest trials
  for (const Best& best : run.result.best) {
    auto& [servers, trials] = contests[best.contest];
    ++servers;
    if (best.of_first.n > 0 && (trials == 0 || best.of_first.n < trials)) trials = best.of_first.n;
  }
  for (const auto& [contest, counts] : contests) {
    const auto& [servers, trials] = counts;
    if (trials == 0 || trials >= blocks_needed(servers)) continue;
    return fmt::format(
        "<p class=\"warn\" role=\"note\">{} fresh trial{} of each cannot tell {} servers apart; {} can.</p>", trials,
        trials == 1 ? "" : "s", servers, blocks_needed(servers));
  }
  return "";
}

std::string chart_table(const Chart& chart) {
  std::vector<std::string> heads;
  const bool panels = chart.panels.size() > 1;
  if (panels) heads.push_back("Part");
  heads.push_back("Series");
  if (chart.dots) heads.push_back("Row");
  const std::size_t names = heads.size();
  if (!chart.dots && !chart.panels.empty()) heads.push_back(chart.panels.front().place.title);
  heads.insert(heads.end(), {"Value", "95 % interval", "Trials", "Note"});
  std::vector<std::vector<std::string>> rows;
  for (const ChartPanel& panel : chart.panels) {
    for (const ChartSeries& series : panel.series) {
      if (!series.marked) continue;
      for (const ChartPoint& point : series.points) {
        std::vector<std::string> row;
        if (panels) row.push_back(isolated(panel.title));
        row.push_back(isolated(series.name) + (series.published ? " (published)" : ""));
        if (chart.dots) {
          const auto index = static_cast<std::size_t>(point.place);
          row.push_back(index < panel.rows.size() ? isolated(panel.rows[index]) : "");
        } else {
          row.push_back(tick_text(panel.place.scale, point.place));
        }
        row.push_back((point.valid ? "" : "(") + short_number(point.value) + (point.valid ? "" : ")"));
        row.push_back(point.lower && point.upper && !point.is_range
                          ? short_number(*point.lower) + " – " + short_number(*point.upper)
                      : point.is_range && point.trials > 1
                          ? "trials from " + short_number(*point.lower) + " to " + short_number(*point.upper)
                          : "");
        row.push_back(point.trials > 0 ? std::to_string(point.trials) : "");
        row.push_back(isolated(shortened(point.reason, 60)));
        rows.push_back(std::move(row));
      }
    }
  }
  return table_element(chart.title, heads, names, rows);
}

std::string figure(const Chart& chart) {
  const std::string id = "fig-" + chart.id;
  std::string text = fmt::format("<figure id=\"{0}\" class=\"chart{1}\" data-chart=\"{2}\"><h3>{3}</h3>", id,
                                 chart.panels.size() > 1 || chart.id == "ranking" ? " wide" : "", escaped(chart.id),
                                 escaped(chart.title));
  const auto legend = legend_of(chart);
  if (!legend.empty()) {
    text += "<ul class=\"legend\">";
    for (const ChartSeries* series : legend)
      text += fmt::format("<li data-series=\"{}\">{}{}{}</li>", escaped(series->name),
                          swatch_svg(*series, !chart.dots && series->joined), isolated(series->name),
                          series->published ? " (published)" : "");
    text += "</ul>";
  }
  text += "<div class=\"panels\">";
  for (std::size_t i = 0; i < chart.panels.size(); ++i) {
    text += fmt::format("<div class=\"panel\" data-panel=\"{}\"><div class=\"static\">", i);
    if (chart.id == "ranking" && chart.panels.size() == 1) {
      text += "<div class=\"narrow\">" + panel_svg(chart, chart.panels[i], panel_width, panel_font) +
              "</div><div class=\"broad\">" + panel_svg(chart, chart.panels[i], 760, panel_font) + "</div>";
    } else {
      text += panel_svg(chart, chart.panels[i], panel_width, panel_font);
    }
    text += "</div><div class=\"live\" hidden></div></div>";
  }
  text += "</div><figcaption>";
  if (!chart.says.empty()) text += escaped(chart.says) + " ";
  if (chart.left_out > 0)
    text +=
        fmt::format("{} more points are not drawn, because there are too many; bakeoff report --format csv has all. ",
                    chart.left_out);
  text += "<span class=\"unit-note\"></span></figcaption><details id=\"table-" + escaped(chart.id) +
          "\"><summary>Figures as a table</summary>" + chart_table(chart) + "</details></figure>";
  return text;
}

std::string cells_table(const PageRun& run) {
  std::vector<std::vector<std::string>> rows;
  std::vector<const CellResult*> shown;
  for (const bool of_best : {true, false}) {  // those that are ranked stay where there are too many
    for (const CellResult& cell : run.result.cells) {
      const bool is_best = std::any_of(run.result.best.begin(), run.result.best.end(),
                                       [&](const Best& best) { return best.cell_id == cell.cell.id; });
      if (is_best == of_best && shown.size() < most_cell_rows) shown.push_back(&cell);
    }
  }
  for (const CellResult* cell : shown) {
    const Summary& summary = cell->summary;
    const auto figure_text = [&](Metric metric) {
      return cell->valid ? with_interval(summary[metric]) : "(" + number(summary[metric].median) + ")";
    };
    rows.push_back({isolated(cell->cell.id), cell->valid ? "yes" : "no", figure_text(Metric::throughput_mbps),
                    figure_text(Metric::replies_per_s), figure_text(Metric::latency_p50_ms),
                    figure_text(Metric::latency_p99_ms), figure_text(Metric::server_cpu_us_per_reply),
                    std::to_string(summary[Metric::replies_per_s].n)});
  }
  std::string text =
      table_element("All cells of " + run.label,
                    {"Cell", "Valid", "Mbit/s", "replies/s", "p50 ms", "p99 ms", "CPU µs/reply", "trials"}, 1, rows);
  if (shown.size() < run.result.cells.size())
    text +=
        fmt::format("<p>{} of {} cells, the ranked ones first; <code>bakeoff report --format csv</code> has all.</p>",
                    shown.size(), run.result.cells.size());
  return text;
}

std::string validity(const PageRun& run) {
  std::size_t invalid = 0;
  std::vector<std::string> order;
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const CellResult& cell : run.result.cells) {
    invalid += cell.valid ? 0 : 1;
    for (const std::string& reason : cell.reasons) {
      const std::string key = (cell.valid ? "1" : "0") + reason;
      if (by_reason[key].empty()) order.push_back(key);
      by_reason[key].push_back(cell.cell.id);
    }
  }
  std::string text =
      fmt::format("<p>{} of {} cells are valid.{}</p>", run.result.cells.size() - invalid, run.result.cells.size(),
                  invalid > 0 ? " Those that are not are drawn hollow, stand in brackets, and are never ranked." : "");
  std::stable_sort(order.begin(), order.end(), [](const std::string& a, const std::string& b) { return a[0] < b[0]; });
  std::vector<std::vector<std::string>> rows;
  for (const std::string& key : order) {
    if (rows.size() == most_reason_rows) break;
    std::string cells;
    const auto& ids = by_reason[key];
    constexpr std::size_t few = 4;
    for (std::size_t i = 0; i < std::min(ids.size(), few); ++i) cells += (i == 0 ? "" : ", ") + isolated(ids[i]);
    if (ids.size() > few) cells += fmt::format(" and {} more", ids.size() - few);
    rows.push_back({key[0] == '0' ? "not valid" : "valid, but", isolated(key.substr(1)), cells});
  }
  if (!rows.empty())
    text += table_element("Why cells are not valid, and other remarks", {"", "Reason", "Cells"}, 3, rows);
  if (order.size() > rows.size())
    text += fmt::format("<p>{} more reasons are in result.json.</p>", order.size() - rows.size());
  return text;
}

std::string plain(const nlohmann::json& value) {
  if (value.is_null()) return "unknown";
  return value.is_string() ? value.get<std::string>() : json_text(value);
}

std::string environment(const PageRun& run) {
  const nlohmann::json& all = run.result.environment;
  std::string text = "<dl>";
  if (all.is_object()) {
    for (const auto& [key, value] : all.items()) {
      if (value.is_structured()) continue;
      std::string words = key;
      std::replace(words.begin(), words.end(), '_', ' ');
      text += "<div><dt>" + escaped(words) + "</dt><dd>" + isolated(plain(value)) + "</dd></div>";
    }
  }
  text += "</dl>";
  const std::string placement = placement_note(all) + worker_mark_note(run.result);
  if (!placement.empty()) text += "<p>" + escaped(placement) + "</p>";
  std::string whole = json_text(all, 1);
  if (whole.size() > most_environment_bytes) {
    std::size_t end = most_environment_bytes;
    while (end > 0 && (static_cast<unsigned char>(whole[end]) & 0xc0) == 0x80) --end;
    whole = whole.substr(0, end) + "\n... (environment.json has all)";
  }
  return text + "<details><summary>All that is known about the machine and the programs</summary><pre tabindex=\"0\">" +
         escaped(whole) + "</pre></details>";
}

std::string repeat(const PageRun& run) {
  std::string text;
  if (!run.repeat.empty()) {
    text += "<pre tabindex=\"0\">";
    for (const std::string& line : run.repeat) text += escaped(line) + "\n";
    text += "</pre>";
  }
  text += "<p>Specification, SHA-256 <code class=\"hash\">" + escaped(run.result.spec_sha256) + "</code>.</p>";
  if (!run.specification.empty())
    text += "<details><summary>The specification</summary><pre tabindex=\"0\">" + escaped(run.specification) +
            "</pre></details>";
  return text;
}

// The looks' colours as the page's variables, bright and dark.
std::string look_style() {
  std::string light, dark, rules;
  for (std::size_t i = 0; i < looks.size(); ++i) {
    light += fmt::format("--s{}:{};", i, looks[i].colour);
    dark += fmt::format("--s{}:{};", i, looks[i].dark_colour);
    rules += fmt::format(".s{0}{{stroke:var(--s{0});fill:var(--s{0})}}", i);
  }
  return fmt::format(
      ":root{{{}--published:{};}}@media (prefers-color-scheme:dark){{@media "
      "screen{{:root{{{}--published:{};}}}}}}{}.published{{stroke:var(--published);fill:var(--published)}}",
      light, published_colour, dark, published_dark_colour, rules);
}

std::string json_of(const std::vector<Chart>& charts) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Chart& chart : charts) {
    nlohmann::ordered_json panels = nlohmann::ordered_json::array();
    for (const ChartPanel& panel : chart.panels)
      panels.push_back({{"title", panel.title}, {"axis", panel.value.title}});
    all.push_back({{"id", chart.id}, {"dots", chart.dots}, {"panels", panels}, {"spec", to_vega_lite(chart)}});
  }
  return json_text(all);
}

std::vector<ChartRun> chart_runs(const std::vector<PageRun>& runs) {
  std::vector<ChartRun> all;
  for (const PageRun& run : runs) all.push_back({run.label, &run.result, run.latency});
  return all;
}

}  // namespace

PageScripts load_page_scripts() {
  const char* place = std::getenv("BAKEOFF_VEGA");
  if (place == nullptr || *place == '\0') return {};
  PageScripts scripts;
  for (const char* name : {"vega", "vega-lite", "vega-embed"}) {
    std::ifstream in(std::filesystem::path(place) / name / "build" / (std::string(name) + ".min.js"), std::ios::binary);
    if (!in) return {};
    scripts.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return scripts;
}

std::vector<Chart> all_charts(const std::vector<PageRun>& runs) {
  const std::vector<ChartRun> drawn = chart_runs(runs);
  std::vector<Chart> charts = charts_of(drawn, most_points);
  if (runs.size() > 1) return charts;
  for (Chart& chart : paper_charts(drawn.front())) charts.push_back(std::move(chart));
  if (runs.front().reference) {
    Chart chart = reference_chart(drawn.front(), *runs.front().reference);
    if (points_of(chart) > 0) charts.push_back(std::move(chart));
  }
  return charts;
}

std::string to_html(const std::vector<PageRun>& runs, const PageScripts& scripts) {
  for (const PageRun& run : runs) {
    const bool measured = std::any_of(run.result.cells.begin(), run.result.cells.end(),
                                      [](const CellResult& cell) { return !cell.trials.empty(); });
    if (!measured)
      throw UsageError(run.label + ": no trial has ended, so there is nothing to show; go on with it by --resume");
  }
  const std::vector<Chart> charts = all_charts(runs);
  const PageRun& first = runs.front();
  const bool micro = is_micro(first.result);
  std::string title = first.title.empty() ? first.result.name : first.title;
  std::map<std::string, std::string> parts;
  const auto part_of = [](const Chart& chart) -> std::string {
    if (chart.id == "ranking") return "ranking";
    if (chart.id == "latency") return "distribution";
    if (chart.id == "time") return "waits";
    const bool measured =
        chart.id == "throughput" || chart.id == "cpu" || chart.id == "workers" || chart.id.starts_with("latency-");
    return measured ? "curves" : "published";
  };
  for (const Chart& chart : charts) parts[part_of(chart)] += figure(chart);
  for (const char* grid : {"curves", "published"}) {
    if (!parts[grid].empty()) parts[grid] = "<div class=\"grid\">" + parts[grid] + "</div>";
  }

  std::string body = "<a class=\"skip\" href=\"#ranking\">To the figures</a><header><p class=\"kind\">bakeoff · " +
                     isolated(first.result.name) + "</p><h1>" + isolated(title) + "</h1>";
  for (const PageRun& run : runs) {
    const auto captured =
        run.result.environment.is_object() ? run.result.environment.find("captured") : run.result.environment.end();
    std::size_t trials = 0;
    for (const CellResult& cell : run.result.cells) trials += cell.trials.size();
    body += fmt::format("<p class=\"meta\">{} · {} cells, {} trials{}</p>", isolated(run.label),
                        run.result.cells.size(), trials,
                        captured != run.result.environment.end() && captured->is_string()
                            ? " · " + escaped(captured->get<std::string>())
                            : "");
    if (!run.result.complete)
      body += "<p class=\"warn\" role=\"note\">" + isolated(run.label) +
              " is not complete: it was interrupted, and shows what was measured until then.</p>";
    const bool any_valid = std::any_of(run.result.cells.begin(), run.result.cells.end(),
                                       [](const CellResult& cell) { return cell.valid; });
    if (!any_valid)
      body += "<p class=\"warn\" role=\"note\">" + isolated(run.label) +
              " has no valid cell, so nothing is ranked; <a href=\"#validity\">validity</a> says why.</p>";
  }
  if (!first.about.empty())
    body += "<div class=\"about\"><h2>What to look for</h2>" + paragraphs(first.about) + "</div>";
  body += "</header>\n";

  std::string ranking = parts["ranking"];
  for (const PageRun& run : runs) {
    if (!run.result.best.empty() && !micro) ranking += ranking_table(run, runs.size() > 1);
    if (!run.result.peaks.empty()) ranking += "<pre tabindex=\"0\">" + escaped(peak_table(run.result)) + "</pre>";
  }
  for (const PageRun& run : runs) ranking += too_few(run);
  std::string turns;
  for (const PageRun& run : runs) {
    if (run.result.turn_s > 0)
      turns += " " + (runs.size() > 1 ? isolated(run.label) + ": " : "") + escaped(turns_sentence(run.result));
  }
  if (!ranking.empty())
    ranking +=
        "<p class=\"note\">" + escaped(estimator_sentence) +
        " Shaded rows: servers that may be the first. Ranks follow from the pairs of servers that differ significantly "
        "(Holm’s correction)." +
        turns + "</p>";
  std::string waits = parts["waits"];
  if (!first.where_cpu_went.empty()) waits += "<pre tabindex=\"0\">" + escaped(first.where_cpu_went) + "</pre>";
  std::string about_cells, about_environment, about_repeat;
  for (const PageRun& run : runs) {
    const std::string head = runs.size() > 1 ? "<h3>" + isolated(run.label) + "</h3>" : "";
    about_cells += head + validity(run) + "<details><summary>All cells</summary>" + cells_table(run) + "</details>";
    about_environment += head + environment(run);
    about_repeat += head + repeat(run);
  }
  std::string controls;
  if (!scripts.empty()) {
    std::string servers, units;
    const std::vector<std::string> names = series_names(chart_runs(runs));
    for (std::size_t i = 0; i < names.size(); ++i) {
      ChartSeries series;
      series.look = i;
      servers += fmt::format("<label><input type=\"checkbox\" name=\"server\" value=\"{}\" checked>{}{}</label>",
                             escaped(names[i]), swatch_svg(series, false), isolated(names[i]));
      units += "<option value=\"server:" + escaped(names[i]) + "\">relative to " + escaped(names[i]) + "</option>";
    }
    controls = "<form id=\"controls\" hidden aria-label=\"What the figures show\"><fieldset><legend>Servers</legend>" +
               servers +
               "<button type=\"button\" id=\"all\">all</button><button type=\"button\" "
               "id=\"none\">none</button></fieldset><div class=\"row\">"
               "<label>Values <select name=\"unit\"><option value=\"\">absolute</option><option "
               "value=\"ceiling\">relative to the ceiling</option>" +
               units +
               "</select></label><label>Scale <select name=\"scale\"><option value=\"\">as drawn</option><option "
               "value=\"linear\">linear</option><option value=\"log\">logarithmic</option></select></label>"
               "<label><input type=\"checkbox\" name=\"invalid\" checked>cells that are not valid</label>"
               "<button type=\"reset\">reset</button></div></form>\n";
  }
  const std::string live_note = scripts.empty() ? "<p class=\"note\">The figures are drawings: Vega, which makes them "
                                                  "react, was missing when this page was written.</p>"
                                                : "<noscript><p class=\"note\">Without JavaScript the figures are "
                                                  "drawings; the tables have every figure.</p></noscript>"
                                                  "<p class=\"note\" id=\"old\" hidden>This browser is older than the "
                                                  "figures that react need (2020), so they are drawings.</p>";
  body += live_note + controls + "<main>\n" + section("ranking", micro ? "Peaks" : "Ranking", ranking) +
          section("curves", "Over the axes", parts["curves"]) +
          section("distribution", "Latency distribution", parts["distribution"]) +
          section("waits", "Where the time went", waits) +
          section("published", "Beside what was published", parts["published"]) +
          section("validity", "Validity", about_cells) + section("environment", "Environment", about_environment) +
          section("repeat", "How to repeat it", about_repeat) +
          "</main>\n<footer><p>Written by bakeoff. Points are estimates over trials; "
          "solid bars are 95 % intervals; dashed ones the range of trials that are too few for an interval. Hollow "
          "points are not valid.</p></footer>\n";

  Document document{title, look_style(), body, {}, {}};
  if (!scripts.empty()) {
    document.data.push_back(json_element("charts", json_of(charts)));
    nlohmann::json pairs = nlohmann::json::array();
    for (const Look& look : looks) pairs.push_back({look.colour, look.dark_colour});
    pairs.push_back({published_colour, published_dark_colour});
    document.data.push_back(json_element("looks", json_text(pairs)));
    document.scripts = scripts;
    document.scripts.push_back(data_text("results/page/page.js"));
    document.scripts.emplace_back("if(!window.bakeoffPage)document.getElementById('old').hidden=false;");
  }
  return to_html(document);
}

}  // namespace bakeoff
