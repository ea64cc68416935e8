// What the papers published, and how it is laid beside what is measured.
#include "results/reference.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "tests/catch.h"
#include "tests/results/result_schema.h"
#include "tests/results/samples.h"

using namespace bakeoff;

namespace {

nlohmann::json load(const std::filesystem::path& file) {
  std::ifstream in(file);
  return nlohmann::json::parse(in);
}

}  // namespace

TEST_CASE("every reference is what its schema says, each figure once and with its place") {
  const test::ResultSchema schema((data_dir() / "results/schema/reference.schema.json").string());
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir() / "results/reference")) {
    INFO(entry.path());
    const nlohmann::json reference = load(entry.path());
    CHECK(schema.accepts(reference));
    std::set<std::string> seen;
    for (const char* list : {"figures", "rows"}) {
      if (!reference.contains(list)) continue;
      for (const auto& one : reference.at(list)) CHECK(seen.insert(one.at("id").get<std::string>()).second);
    }
    ++files;
  }
  CHECK(files >= 5);
  nlohmann::json broken = load(data_dir() / "results/reference/vonbehren2003.json");
  broken["figures"][0].erase("where");
  CHECK_FALSE(schema.accepts(broken));
}

TEST_CASE("Table 1 adds up") {
  const nlohmann::json table = load(data_dir() / "results/reference/pariag2007-table1.json");
  const std::size_t columns = table.at("columns").size();
  REQUIRE(columns == 7);
  std::map<std::string, std::vector<double>> rows;
  std::map<std::string, std::vector<double>> parts;
  std::vector<double> shares(columns);
  for (const auto& row : table.at("rows")) {
    const auto values = row.at("values").get<std::vector<double>>();
    REQUIRE(values.size() == columns);
    rows[row.at("id")] = values;
    if (row.at("unit") != "% of CPU") continue;
    auto& sum = row.contains("part_of") ? parts.try_emplace(row.at("part_of"), columns).first->second : shares;
    for (std::size_t c = 0; c < columns; ++c) sum[c] += values[c];
  }
  for (std::size_t c = 0; c < columns; ++c) {
    INFO(table.at("columns")[c].at("name"));
    CHECK(std::fabs(shares[c] - 100) < 0.06);  // as rounded
    for (const auto& [whole, sum] : parts) CHECK(std::fabs(sum[c] - rows.at(whole)[c]) < 0.06);
    // A reply is the workload's mean file and a head on every server: the throughput follows from the rate.
    CHECK(rows.at("throughput_mbps")[c] * 1e6 / 8 / rows.at("reply_rate")[c] == Approx(14'920).epsilon(0.003));
  }
}

TEST_CASE("a result is laid beside the paper's table, relative to each row's best") {
  const ReferenceTable reference = load_reference_table("pariag2007-table1");
  CHECK(reference.columns.front() == "knot-c");
  std::vector<Trial> trials;
  std::vector<Cell> cells;
  for (const auto& [server, mbps] : {std::pair{"knot-c", 50.0}, std::pair{"watpipe", 100.0}}) {
    cells.push_back(sample_cell(server, 64, 1));
    trials.push_back(sample_trial(cells.back(), Phase::sweep, 0, mbps));
  }
  const std::string text = beside_reference(sample_result(cells, trials), reference);
  INFO(text);
  const auto line_of = [&](const std::string& begin) {
    const std::size_t at = text.find(begin);
    REQUIRE(at != std::string::npos);
    return text.substr(at, text.find('\n', at) - at);
  };
  const std::string paper = line_of("Throughput");
  CHECK(paper.find("paper") != std::string::npos);
  CHECK(paper.find("0.78") != std::string::npos);  // 1001 / 1280
  const std::size_t here = text.find("here", text.find(paper) + paper.size());
  const std::string measured = text.substr(here, text.find('\n', here) - here);
  CHECK(measured.find("0.50") != std::string::npos);
  CHECK(measured.find("1.00") != std::string::npos);
  CHECK(measured.find("-") != std::string::npos);  // the five that were not run
  CHECK(text.find("Not measured here: vmlinux total") != std::string::npos);
  CHECK_THROWS_AS(load_reference_table("no-such"), UsageError);
  CHECK_THROWS_AS(load_reference_table("vonbehren2003"), UsageError);
}
