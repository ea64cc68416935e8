#include "harness/run/run_page.h"

#include <sys/stat.h>

#include <fstream>

#include "core/base/errors.h"
#include "harness/plan/plan.h"
#include "harness/run/experiment.h"
#include "tests/catch.h"
#include "tests/harness/run/made_up_trials.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

namespace {

const std::string specification_text =
    "[workload]\nname = \"single-file\"\n[load]\nconnections = 64\n[trials]\nsweep = 2\nfinal = 0\n"
    "[[server]]\narchitecture = \"sped\"\n";

// One cell, whose two trials have the same histogram.
void make_run(const std::filesystem::path& folder, const nlohmann::json& histogram) {
  const Specification spec = parse_specification(specification_text, "spec.toml");
  const std::vector<Cell> cells = plan_cells(spec, "single-file");
  std::vector<Trial> trials;
  std::string lines;
  for (std::uint32_t block = 0; block < 2; ++block) {
    Trial trial = test::sound_trial(1000);
    trial.key = {Phase::sweep, block, cells.at(0).id};
    trial.figures[Metric::latency_p50_ms] = 1;
    trial.evidence = {{"load", {{"histogram", histogram}}}};
    lines += to_json(trial).dump() + "\n";
    trial.evidence = nullptr;
    trials.push_back(trial);
  }
  std::ofstream(folder / "spec.toml") << specification_text;
  std::ofstream(folder / "plan.json") << R"({"scale": "quick", "search": "run"})";
  std::ofstream(folder / "trials.jsonl") << lines;
  std::ofstream(folder / "result.json") << to_json(make_result(spec, cells, trials, {}, nullptr)).dump();
}

nlohmann::json some_histogram() {
  Histogram histogram;
  histogram.record(1'000'000);
  return nlohmann::json::parse(histogram.to_json().dump());
}

std::string nested(std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

}  // namespace

TEST_CASE("a page has what a run's folder holds, whether histograms are JSON or text of it") {
  for (const nlohmann::json& histogram : {some_histogram(), nlohmann::json(some_histogram().dump())}) {
    test::TempDir dir;
    make_run(dir.path(), histogram);
    const PageRun run = read_page_run(dir.path());
    CHECK(run.specification == specification_text);
    REQUIRE(run.latency.size() == 1);
    CHECK(run.latency.begin()->second.count() == 2);
    CHECK(run.repeat.at(1).find("--scale quick") != std::string::npos);
  }
}

TEST_CASE("a page of a stranger's folder waits for nothing, reads nothing without an end, and survives its JSON") {
  test::TempDir dir;
  make_run(dir.path(), some_histogram());
  for (const char* name : {"spec.toml", "plan.json", "trials.jsonl"}) {
    INFO(name);
    const std::filesystem::path file = dir.path() / name;
    std::filesystem::rename(file, dir.path() / "aside");
    CHECK_NOTHROW(read_page_run(dir.path()));
    REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
    CHECK_THROWS_WITH(read_page_run(dir.path()), Catch::Contains("it is a pipe that nobody writes to"));
    std::filesystem::remove(file);
    std::filesystem::create_symlink("/dev/zero", file);
    CHECK_THROWS_WITH(read_page_run(dir.path()), Catch::Contains("it is a device, not a file"));
    std::filesystem::remove(file);
    std::filesystem::rename(dir.path() / "aside", file);
  }
  std::ofstream(dir.path() / "plan.json") << R"({"scale": [5]})";
  CHECK_THROWS_WITH(read_page_run(dir.path()), Catch::Contains("plan.json: damaged: "));
  std::ofstream(dir.path() / "plan.json") << R"({"scale": )" << nested(300'000) << "}";
  CHECK(read_page_run(dir.path()).repeat.empty());

  make_run(dir.path(), nested(300'000));
  CHECK(read_page_run(dir.path()).latency.empty());
  make_run(dir.path(), "in its place");
  std::ifstream in(dir.path() / "trials.jsonl");
  std::string line;
  std::getline(in, line);
  line.replace(line.find("\"in its place\""), 14, nested(300'000));
  std::ofstream(dir.path() / "trials.jsonl") << line << "\n";
  CHECK(read_page_run(dir.path()).latency.empty());
}

TEST_CASE("a page is written into its folder, not to where a link in it leads") {
  test::TempDir dir, other;
  make_run(dir.path(), some_histogram());
  other.write("precious", "kept");
  std::filesystem::create_symlink(other.path() / "precious", dir.path() / "page.html");
  write_page(dir.path());
  CHECK(std::filesystem::is_regular_file(std::filesystem::symlink_status(dir.path() / "page.html")));
  CHECK(std::filesystem::file_size(other.path() / "precious") == 4);
}
