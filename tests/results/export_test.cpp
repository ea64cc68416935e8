#include "results/export.h"

#include <algorithm>
#include <sstream>

#include "tests/catch.h"
#include "tests/results/samples.h"

using namespace bakeoff;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

// A server with five trials that count and a void one, one whose trial failed, one that was not measured.
ExperimentResult sample() {
  const Cell sped = sample_cell("sped", 64, 1), mp = sample_cell("mp", 64, 64), mt = sample_cell("mt", 64, 64);
  std::vector<Trial> trials;
  for (const double mbps : {64.0, 80.0, 100.0, 125.0, 156.25}) {
    trials.push_back(sample_trial(sped, Phase::final, static_cast<std::uint32_t>(trials.size()), mbps));
    trials.back().figures[Metric::server_cpu_us_per_reply] = 10;
  }
  Trial spoiled = sample_trial(sped, Phase::final, 5, 1);
  spoiled.void_causes = {"other processes took the processors"};
  trials.push_back(spoiled);
  Trial failed = sample_trial(mp, Phase::sweep, 0, 1);
  failed.failures = {"the server \"died\" <at once>, & so on"};
  trials.push_back(failed);
  return sample_result({sped, mp, mt}, trials);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("the CSV has a row a trial and a column a variable") {
  const std::vector<std::string> lines = lines_of(to_csv(sample()));
  REQUIRE(lines.size() == 8);
  const std::size_t columns = count(lines[0], ",");
  CHECK(lines[0].find(",throughput_mbps,") != std::string::npos);
  CHECK(lines[0].find(",latency_ms_p99,") != std::string::npos);
  CHECK(lines[0].find(",waiting_ms,") != std::string::npos);
  CHECK(lines[0].find(",counted,void_causes,failures,remarks,drift,") != std::string::npos);
  CHECK(lines[6].find(",false,other processes took the processors,") != std::string::npos);
  CHECK(count(lines[1], ",") == columns);
  CHECK(lines[1].find("sped/connections=64/workers=1") != std::string::npos);
  CHECK(lines[1].find(",100,100,64,512,") != std::string::npos);  // both ceilings, then Mbit/s and replies/s
  // RFC 4180: quotes are doubled, commas quoted.
  CHECK(lines[7].find("\"the server \"\"died\"\" <at once>, & so on\"") != std::string::npos);
}

TEST_CASE("Markdown tables have as many fields in every row, and a GitHub summary folds the cells away") {
  const std::string text = to_markdown(sample());
  CHECK(text.find("|  | 1 | **sped** | 64 | 1 |") != std::string::npos);
  CHECK(text.find("- not ranked: mp, no valid cell") != std::string::npos);
  CHECK(text.find("<details>") == std::string::npos);
  std::size_t fields = 0;
  for (const std::string& line : lines_of(text)) {
    if (!line.starts_with("|")) fields = 0;
    if (line.starts_with("|") && fields != 0) CHECK(count(line, "|") == fields);
    if (line.starts_with("|")) fields = count(line, "|");
  }
  const std::string summary = to_markdown(sample(), true);
  CHECK(count(summary, "<details>") == 1);
  CHECK(count(summary, "</details>") == 1);
}

TEST_CASE("JUnit: invalid cells fail, those not measured are skipped, and nothing breaks the XML") {
  const std::string text = to_junit(sample());
  CHECK(text.find("<testsuite name=\"bakeoff sample\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"") !=
        std::string::npos);
  CHECK(text.find("message=\"the server &quot;died&quot; &lt;at once&gt;, &amp; so on\"") != std::string::npos);
  CHECK(count(text, "<testcase ") == 3);
  CHECK(count(text, "</testcase>") == 3);
  CHECK(text.find("<skipped message=\"not measured\"/>") != std::string::npos);
}

TEST_CASE("google-benchmark's form has a repetition a trial that counts") {
  const auto json = nlohmann::json::parse(to_google_benchmark(sample()));
  CHECK(json.at("context").at("num_cpus") == 2);
  const auto& benchmarks = json.at("benchmarks");
  REQUIRE(benchmarks.size() == 5);
  CHECK(benchmarks[0].at("name") == "sped/connections=64/workers=1");
  CHECK(benchmarks[0].at("repetitions") == 5);
  CHECK(benchmarks[1].at("repetition_index") == 1);
  CHECK(benchmarks[1].at("real_time").get<double>() == Approx(1e6 / 640));
  CHECK(benchmarks[1].at("cpu_time").get<double>() == Approx(10));
  CHECK(benchmarks[1].at("time_unit") == "us");
}

TEST_CASE("Bencher's form has a value and its interval by measure, of valid cells alone") {
  const auto json = nlohmann::json::parse(to_bencher(sample()));
  REQUIRE(json.size() == 1);
  const auto& measures = json.at("sped/connections=64/workers=1");
  CHECK(measures.at("throughput").at("value").get<double>() == Approx(800));
  CHECK(measures.at("throughput").at("lower_value").get<double>() < 800);
  CHECK(measures.at("latency-p99").at("value").get<double>() == Approx(12.5e6));
  CHECK_FALSE(measures.contains("latency"));  // no mean was had
}

TEST_CASE("gnuplot's form has a data set a server with as many columns in every line, and draws them") {
  ExperimentResult result = sample();
  result.cells.front().cell.options["poller"] = "epoll";
  result.cells.back().cell.options["poller"] = "poll";
  const std::string script = to_gnuplot(result);
  const std::size_t begin = script.find("$data << END_OF_DATA\n"), end = script.find("\nEND_OF_DATA\n");
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  CHECK(count(script.substr(end), "with yerrorbars") == 3);
  const std::string text = script.substr(begin + 21, end - begin - 20);
  CHECK(count(text, "# index ") == 3);
  CHECK(count(text, "# 1:connections 2:workers 3:poller 4:throughput_mbps") == 3);
  CHECK(count(text, "\n\n\n") == 2);  // two blank lines between data sets
  std::size_t fields = 0;
  for (const std::string& line : lines_of(text)) {
    if (line.empty() || line[0] == '#') continue;
    if (fields != 0) CHECK(count(line, " ") == fields);
    fields = count(line, " ");
  }
  CHECK(fields == 3 + 3 * metric_table.size());
  const std::size_t first = text.find("\n64 1 \"epoll\" ");
  REQUIRE(first != std::string::npos);
  std::istringstream figures(text.substr(first + 14));
  double median = 0, lower = 0, upper = 0;
  figures >> median >> lower >> upper;
  CHECK(median == Approx(100));
  CHECK(lower == 64);
  CHECK(upper == 156.25);
  CHECK(text.find(" NaN ") != std::string::npos);
}
TEST_CASE("every format is there once, and writes something") {
  const ExperimentResult result = sample();
  std::vector<std::string> names;
  for (const ExportFormat& format : export_formats()) {
    names.emplace_back(format.name);
    CHECK(format.write(result).size() > 100);
  }
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
  CHECK(names.front() == "json");
  CHECK(result_from_json(nlohmann::json::parse(export_formats().front().write(result))).name == "sample");
}
