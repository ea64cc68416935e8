// bakeoff figures: a run's charts as files, for papers.
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/commands/command_line.h"
#include "harness/processes/child.h"
#include "harness/run/run_page.h"
#include "results/figures/svg.h"
#include "results/figures/vega_lite.h"
#include "results/page/page.h"

namespace bakeoff {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

constexpr double font_pt = 7.5;  // what journals have in figures

// "84mm", "3.3in", "240pt" in pixels of 1/96 inch.
double width_px(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const double px = unit == "mm"   ? value * 96 / 25.4
                    : unit == "cm" ? value * 96 / 2.54
                    : unit == "in" ? value * 96
                    : unit == "pt" ? value * 96 / 72
                                   : std::nan("");
  const double least = 40 * 96 / 25.4, most = 600 * 96 / 25.4;
  if (!(px >= least - 1e-6 && px <= most + 1e-6))
    throw UsageError("bakeoff figures: --width: expected 40mm to 600mm (or in cm, in, pt), got `" + text + "`");
  return px;
}

void write(const fs::path& file, const std::string& text) {
  std::error_code absent;
  fs::remove(file, absent);  // in somebody else's folder it may be a link to anything
  std::ofstream out(file, std::ios::binary);
  out << text;
  if (!out.flush()) throw StartError("cannot write " + file.string() + ": " + std::strerror(errno));
}

fs::path in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string places = path == nullptr ? "" : path;
  for (std::size_t begin = 0; begin <= places.size();) {
    const std::size_t end = std::min(places.find(':', begin), places.size());
    const fs::path candidate = fs::path(places.substr(begin, end - begin)) / program;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return {};
}

}  // namespace

int figures_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  std::string format = "svg", width = "84mm", out;
  options.add_options()("format", po::value(&format)->value_name("FIGURE_FORMAT")->default_value(format), "svg or pdf")(
      "width", po::value(&width)->value_name("LENGTH")->default_value(width),
      "of each figure: 84mm is one column, 174mm two")("out", po::value(&out)->value_name("DIR"),
                                                       "where to (default: figures in the run's folder)");
  po::variables_map given;
  if (!read_options("figures", arguments, options, 1, given)) return exit_status::fine;
  if (format != "svg" && format != "pdf")
    throw UsageError("bakeoff figures: --format: expected svg or pdf, got `" + format + "`");
  const double px = width_px(width);
  const fs::path folder =
      given.count("words") == 0 ? newest_run("runs") : fs::path(word(given, 0, "figures", "a run's folder"));
  const PageRun run = read_page_run(folder);
  const std::vector<Chart> charts = all_charts({run});
  if (charts.empty()) throw UsageError(folder.string() + ": there is no figure to draw, because no trial has ended");
  const fs::path converter = in_path("rsvg-convert");
  if (format == "pdf" && converter.empty())
    throw StartError("PDF needs rsvg-convert (on Debian: apt-get install librsvg2-bin); --format svg does without");
  const fs::path place =
      !out.empty() ? fs::path(out) : (fs::is_directory(folder) ? folder : folder.parent_path()) / "figures";
  std::error_code error;
  fs::create_directories(place, error);
  if (error) throw StartError("cannot make " + place.string() + ": " + error.message());
  for (const Chart& chart : charts) {
    const fs::path svg = place / (chart.id + ".svg");
    write(svg, figure_svg(chart, px, font_pt * 96 / 72));
    write(place / (chart.id + ".vl.json"), json_text(to_vega_lite(chart), 1) + "\n");
    if (converter.empty()) continue;
    // The letters of a PDF are embedded, and those of an SVG become outlines: both look the same everywhere.
    const fs::path made = place / (chart.id + "." + format + ".new");
    output_of(reactor, {{converter.string(), "--format", format, "--output", made.string(), svg.string()}, {}}, 60);
    fs::rename(made, place / (chart.id + "." + format));
    if (format == "pdf") fs::remove(svg);
  }
  if (converter.empty())
    std::fprintf(stderr,
                 "the letters are text in the reader's font; with rsvg-convert (librsvg2-bin) they become outlines\n");
  std::fprintf(stderr, "%s: %zu figures, each as %s and as Vega-Lite (.vl.json)\n", place.c_str(), charts.size(),
               format.c_str());
  return exit_status::fine;
}

}  // namespace bakeoff
