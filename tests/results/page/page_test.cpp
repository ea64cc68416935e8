// The page as text: what must be in it, and what must not be.
#include "results/page/page.h"

#include "core/base/errors.h"
#include "results/figures/papers.h"
#include "results/figures/svg.h"
#include "results/figures/vega_lite.h"
#include "tests/catch.h"
#include "tests/results/samples.h"

using namespace bakeoff;

namespace {

// Two servers at two numbers of connections, eight trials of each.
PageRun sample_run(const std::string& first = "sped", const std::string& second = "amped") {
  std::vector<Cell> cells;
  std::vector<Trial> trials;
  for (const std::string& server : {first, second}) {
    for (const std::uint32_t connections : {16u, 128u}) {
      cells.push_back(sample_cell(server, connections, 1));
      for (std::uint32_t block = 0; block < 8; ++block)
        trials.push_back(sample_trial(cells.back(), Phase::sweep, block, 100 + block + connections / 16.0));
    }
  }
  PageRun run;
  run.label = "a-run";
  run.result = sample_result(cells, trials);
  return run;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

}  // namespace

TEST_CASE("a page has its tables and drawings without any script") {
  const std::string html = to_html({sample_run()}, {});
  CHECK(html.find("<script") == std::string::npos);
  CHECK(html.find("script-src 'none'") != std::string::npos);
  CHECK(html.find("default-src 'none'") != std::string::npos);
  CHECK(html.find("http://") == html.find("http://www.w3.org/2000/svg"));
  CHECK(html.find("https://") == std::string::npos);
  CHECK(html.find("id=\"fig-ranking\"") != std::string::npos);
  CHECK(html.find("id=\"fig-throughput\"") != std::string::npos);
  CHECK(count_of(html, "<svg") == count_of(html, "</svg>"));
  CHECK(count_of(html, "<table>") == count_of(html, "</table>"));
}

TEST_CASE("names stay text in a page, whatever is in them") {
  const std::string evil = "<img src=x onerror=alert(1)>&\"' שלום </script><!--";
  PageRun run = sample_run(evil, "amped");
  run.label = run.title = run.about = run.specification = evil;
  const std::string html = to_html({run}, {"var a = '</script>';", "", ""});
  CHECK(html.find("<img") == std::string::npos);
  CHECK(html.find("&lt;img src=x") != std::string::npos);
  CHECK(count_of(html, "<script") == count_of(html, "</script>"));
  CHECK(html.find("<!--") == std::string::npos);
}

TEST_CASE("each point is in the drawing and in the specification once") {
  const PageRun run = sample_run();
  for (const Chart& chart : all_charts({run})) {
    std::size_t marked = 0;
    for (const ChartPanel& panel : chart.panels) {
      for (const ChartSeries& series : panel.series) marked += series.marked ? series.points.size() : 0;
    }
    const std::string svg = figure_svg(chart, 317, 10);
    INFO(chart.id);
    CHECK(count_of(svg, "class=\"mark") == marked + legend_of(chart).size());
    CHECK(to_vega_lite(chart).at("data").at("values").size() == points_of(chart));
  }
}

TEST_CASE("a cell that is not valid is drawn hollow, and never ranked") {
  PageRun run = sample_run();
  for (CellResult& cell : run.result.cells) {
    cell.valid = false;
    cell.reasons = {"because of a test"};
  }
  run.result.best.clear();
  const std::string html = to_html({run}, {});
  CHECK(html.find("has no valid cell, so nothing is ranked") != std::string::npos);
  CHECK(html.find("because of a test") != std::string::npos);
  CHECK(html.find("class=\"mark hollow\"") != std::string::npos);
  CHECK(html.find("class=\"mark\"") == html.find("class=\"mark\" stroke=\"none\""));
}

TEST_CASE("a run with one cell, without figures, or interrupted, has a page") {
  PageRun one;
  one.label = "one";
  const Cell cell = sample_cell("sped", 16, 1);
  one.result = sample_result({cell}, {sample_trial(cell, Phase::sweep, 0, 100)});
  CHECK(to_html({one}, {}).find("sped") != std::string::npos);
  for (CellResult& some : one.result.cells) some.summary = Summary{};
  one.result.best.clear();
  one.result.complete = false;
  one.result.environment = nullptr;
  CHECK(to_html({one}, {}).find("is not complete") != std::string::npos);
  PageRun none;
  none.label = "none";
  none.result = sample_result({cell}, {});
  CHECK_THROWS_AS(to_html({none}, {}), UsageError);
}

TEST_CASE("several runs are laid over each other") {
  PageRun a = sample_run(), b = sample_run();
  b.label = "b-run";
  const std::string html = to_html({a, b}, {});
  CHECK(html.find("sped · a-run") != std::string::npos);
  CHECK(html.find("sped · b-run") != std::string::npos);
}

TEST_CASE("a run of ten thousand cells leaves room for Vega in a page of 1.5 MB") {
  PageRun run;
  run.label = "large";
  std::vector<CellResult> cells;
  for (int server = 0; server < 20; ++server) {
    for (std::uint32_t connections = 1; connections <= 25; ++connections) {
      for (std::uint32_t workers = 1; workers <= 20; ++workers) {
        CellResult one;
        one.cell = sample_cell("server-with-a-long-name-" + std::to_string(server), connections * 16, workers);
        one.valid = (connections + workers) % 7 != 0;
        if (!one.valid) one.reasons = {"starved connections: " + std::to_string(connections)};
        one.trials = {sample_trial(one.cell, Phase::sweep, 0, 100)};
        one.trials.front().counted = true;
        for (const MetricName& metric : metric_table)
          one.summary[metric.metric] = {100.123456 + workers, 90.123456, 110.123456, 8};
        cells.push_back(std::move(one));
      }
    }
  }
  run.result = sample_result({}, {});
  run.result.cells = std::move(cells);
  constexpr std::size_t of_vega = 850'000, most = 1'500'000;
  CHECK(to_html({run}, {"1", "2", "3"}).size() < most - of_vega);
}

TEST_CASE("papers.json names figures and experiments that exist") {
  for (const char* name : {"pariag2007", "flash1999-wan", "knot2003"}) {
    PageRun run = sample_run("knot-c", "flash");
    run.result.name = name;
    ChartRun drawn{run.label, &run.result, {}};
    const std::vector<Chart> charts = paper_charts(drawn);
    INFO(name);
    REQUIRE(!charts.empty());
    CHECK(points_of(charts.front()) > 0);
  }
}
