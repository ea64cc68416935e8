#include "harness/commands/commands.h"

#include <iostream>
#include <set>

#include "core/base/errors.h"
#include "harness/commands/command_line.h"
#include "harness/commands/table_output.h"
#include "harness/run/run_page.h"
#include "harness/run/stored_result.h"
#include "results/export.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

// Runs whose folders have one name are told apart by a number.
void name_apart(std::vector<PageRun>& runs) {
  std::set<std::string> seen;
  for (PageRun& run : runs) {
    const std::string name = run.label;
    for (int number = 2; !seen.insert(run.label).second; ++number)
      run.label = name + " (" + std::to_string(number) + ")";
  }
}

}  // namespace

int report_command(Reactor&, const Arguments& arguments) {
  po::options_description options("Options");
  std::string format, known = "html: one page of figures and tables, of several runs together";
  bool wide = false;
  for (const ExportFormat& one : export_formats()) known += std::string("; ") + one.name + ": " + one.what;
  options.add_options()("format", po::value(&format)->value_name("FORMAT"), ("instead of tables " + known).c_str())(
      "wide", po::bool_switch(&wide), wide_help);
  po::variables_map given;
  constexpr std::size_t most_runs = 8;
  if (!read_options("report", arguments, options, most_runs, given)) return exit_status::fine;
  std::vector<std::string> runs;
  if (given.count("words") != 0) runs = given["words"].as<std::vector<std::string>>();
  if (runs.empty()) runs.push_back(newest_run("runs").string());
  if (format == "html") {
    std::vector<PageRun> pages;
    for (const std::string& run : runs) pages.push_back(read_page_run(run));
    name_apart(pages);
    std::cout << to_html(pages, load_page_scripts()) << std::flush;
    if (!std::cout) throw StartError("bakeoff report: the page could not be written");
    return exit_status::fine;
  }
  if (runs.size() > 1) {
    throw UsageError("bakeoff report: tables and " + (format.empty() ? std::string("exports") : format) +
                     " are of one run; lay several over each other by --format html, or see bakeoff compare");
  }
  const ExperimentResult result = read_result(runs.front());
  if (!format.empty()) {
    for (const ExportFormat& one : export_formats()) {
      if (one.name != format) continue;
      std::cout << one.write(result) << std::flush;
      return exit_status::fine;
    }
    throw UsageError("bakeoff report: there is no format `" + format + "`; there are " + known);
  }
  const TableStyle style = style_of_stdout(wide);
  if (is_micro(result)) {
    std::cout << scaling(result, style);
    return exit_status::fine;
  }
  std::cout << tables(result, style);
  const std::filesystem::path spec = std::filesystem::path(runs.front()) / "spec.toml";
  if (std::filesystem::exists(spec)) std::cout << beside(load_specification(spec.string()), result, style);
  return exit_status::fine;
}

}  // namespace bakeoff
