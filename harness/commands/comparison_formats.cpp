#include "harness/commands/comparison_formats.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/untrusted.h"
#include "results/export.h"

namespace bakeoff {
namespace {

using nlohmann::json;

json judgements_of(const json& report) { return report.value("cells", json::array()); }

std::string number(const json& value) { return value.is_number() ? fmt::format("{:.3f}", value.get<double>()) : "-"; }

std::string heading(const json& report) {
  return fmt::format("## bakeoff compare {}: {}\n\n{}\n\n", report.value("experiment", ""), report.value("verdict", ""),
                     report.value("why", ""));
}

std::string table(const json& report) {
  std::string text =
      "| cell | figure | candidate/baseline | at least | at most | margin | pairs | verdict |\n"
      "|:--|:--|--:|--:|--:|--:|--:|:--|\n";
  for (const json& one : judgements_of(report)) {
    text += fmt::format("| {} | {} | {} | {} | {} | {:.3g} % | {} | {} |\n", one.value("cell", ""), one.value("by", ""),
                        number(one.at("ratio")), number(one.at("lower")), number(one.at("upper")),
                        one.value("margin", 0.0) * 100, one.value("pairs", 0), one.value("verdict", ""));
  }
  return text;
}

std::string to_markdown(const json& report) { return heading(report) + table(report); }

// For $GITHUB_STEP_SUMMARY: what decided is seen at once, the rest is folded.
std::string to_github(const json& report) {
  return heading(report) + "<details><summary>All figures</summary>\n\n" + table(report) + "\n</details>\n";
}

// A test case a cell and figure, and one for the whole. Undecided is skipped: the exit status is what --undecided says.
std::string to_junit(const json& report) {
  std::string cases;
  std::size_t count = 0, failures = 0, skipped = 0;
  const json judgements = judgements_of(report);
  const double spent_s = report.value("spent_s", 0.0);
  const double each_s = judgements.empty() ? 0 : spent_s / static_cast<double>(judgements.size());
  const auto add = [&](const std::string& kind, const std::string& name, double time_s, const std::string& verdict,
                       const std::string& message) {
    ++count;
    cases += fmt::format("    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\">", xml_text(kind), xml_text(name),
                         time_s);
    if (verdict == "fine") {
      cases += "<system-out>" + xml_text(message) + "</system-out>";
    } else if (verdict == "undecided") {
      ++skipped;
      cases += "<skipped message=\"" + xml_text(message) + "\"/>";
    } else {
      ++failures;
      cases += "<failure type=\"" + xml_text(verdict) + "\" message=\"" + xml_text(message) + "\"/>";
    }
    cases += "</testcase>\n";
  };
  const std::string experiment = report.value("experiment", "");
  for (const json& one : judgements) {
    add(experiment + "." + one.value("by", ""), one.value("cell", ""), each_s, one.value("verdict", ""),
        fmt::format("candidate/baseline {} ({} .. {})", number(one.at("ratio")), number(one.at("lower")),
                    number(one.at("upper"))));
  }
  add(experiment, "comparison", spent_s, report.value("verdict", ""), report.value("why", ""));
  const std::string counts = fmt::format("tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3f}\"",
                                         count, failures, skipped, spent_s);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {0}>\n  <testsuite name=\"{1}\" {0}>\n{2}"
      "  </testsuite>\n</testsuites>\n",
      counts, xml_text("bakeoff compare " + experiment), cases);
}

}  // namespace

const std::vector<ComparisonFormat>& comparison_formats() {
  static const std::vector<ComparisonFormat> formats = {
      {"json", "as --json", [](const json& report) { return json_text(report, 1) + "\n"; }},
      {"markdown", "a table", to_markdown},
      {"github", "for $GITHUB_STEP_SUMMARY", to_github},
      {"junit", "a test case a cell and figure", to_junit}};
  return formats;
}

}  // namespace bakeoff
