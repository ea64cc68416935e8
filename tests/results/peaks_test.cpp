#include "results/peaks.h"

#include "core/base/data_dir.h"
#include "tests/catch.h"
#include "tests/results/result_schema.h"
#include "tests/results/samples.h"

using namespace bakeoff;

namespace {

Cell cell_at(double rate) {
  Cell cell = sample_cell("sped", 64, 1);
  cell.id += "/rate=" + rate_text(rate);
  cell.rate = rate;
  return cell;
}

ExperimentResult peak_result() {
  const Cell peak = cell_at(38'000), twice = cell_at(76'000);
  std::vector<Trial> trials;
  for (std::uint32_t block = 0; block < 3; ++block) {
    trials.push_back(sample_trial(peak, Phase::final, block, 4750));
    trials.push_back(sample_trial(twice, Phase::final, block, 3800));
    trials.back().failures = {"the server died"};
  }
  ExperimentResult result = sample_result({peak, twice}, trials);
  result.peaks = {{"sped/connections=64/workers=1", 25, 38'000, 36'500, 39'400, true, peak.id, twice.id}};
  return result;
}

}  // namespace

TEST_CASE("the peak's table has its interval, and what twice its rate left of it") {
  ExperimentResult result = peak_result();
  const std::string text = peak_table(result);
  CAPTURE(text);
  CHECK(text.find("  sped/connections=64/workers=1  36500 .. 39400  38000      25      38000       -   12.50     76000 "
                  "     30400      0.80\n") != std::string::npos);
  CHECK(text.find("?:") == std::string::npos);
  CHECK(text.find("w:") == std::string::npos);
  CHECK(tables(result).find(text) != std::string::npos);  // in place of a matrix for every rate
  CHECK(tables(result).find("Ranking") == std::string::npos);
  result.peaks.clear();
  CHECK(peak_table(result).empty());
}

TEST_CASE("an interval that is wide or open says so, and so does a peak that its fresh trials missed") {
  ExperimentResult result = peak_result();
  result.peaks[0].upper.reset();
  result.peaks[0].within_tolerance = false;
  for (CellResult& cell : result.cells) cell.valid = false;
  result.peaks.push_back({"mt/connections=64/workers=64", 12, std::nullopt, std::nullopt, 1.0, true, "", ""});
  const std::string text = peak_table(result);
  CAPTURE(text);
  CHECK(text.find("36500 .. w  38000?") != std::string::npos);
  CHECK(text.find("  mt/connections=64/workers=64   .. 1.00       none      12          -") != std::string::npos);
  CHECK(text.find("    w: wider than [peak] tolerance") != std::string::npos);
  CHECK(text.find("    ?: the fresh trials as a whole did not sustain it") != std::string::npos);
  CHECK(peak_words(result.peaks[0]) ==
        "sped/connections=64/workers=1: 38000 requests/s (36500 ..) by 25 trials, all that [peak] answers allows");
  CHECK(peak_words(result.peaks[1]) == "mt/connections=64/workers=64: no rate is sustained (.. 1.00) by 12 trials");
}

TEST_CASE("peaks are written as the schema says, and read again") {
  ExperimentResult result = peak_result();
  result.peaks.push_back({"mt/connections=64/workers=64", 12, std::nullopt, std::nullopt, 1.0, true, "", ""});
  const nlohmann::json written = to_json(result);
  CHECK(test::ResultSchema((data_dir() / "results/schema/result.schema.json").string()).accepts(written));
  CHECK(to_json(result_from_json(written)).at("peaks") == written.at("peaks"));
}
