#include "harness/run/run_page.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <tuple>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/machine/profile.h"
#include "harness/plan/specification.h"
#include "harness/run/stored_result.h"

namespace bakeoff {
namespace {

namespace fs = std::filesystem;

// Line by line, and only those of the cells whose distribution is drawn: a night's trials are a gigabyte.
std::map<std::string, Histogram> read_latency(const fs::path& file, const ExperimentResult& result) {
  std::map<std::string, Histogram> latency;
  std::ifstream in(file, std::ios::binary);
  if (!in) return latency;
  const std::vector<std::string> wanted = cells_with_distribution(result);
  std::set<std::tuple<std::string, Phase, std::uint32_t, std::uint32_t>> counted;
  std::vector<std::string> marks;
  for (const CellResult& cell : result.cells) {
    if (std::find(wanted.begin(), wanted.end(), cell.cell.id) == wanted.end()) continue;
    marks.push_back(json_text(nlohmann::json(cell.cell.id)));
    for (const Trial& trial : cell.trials) {
      if (trial.counted) counted.emplace(cell.cell.id, trial.key.phase, trial.key.block, trial.attempt);
    }
  }
  for (std::string line; std::getline(in, line);) {
    if (std::none_of(marks.begin(), marks.end(),
                     [&](const std::string& mark) { return line.find(mark) != std::string::npos; }))
      continue;
    try {
      const Trial trial = trial_from_json(nlohmann::json::parse(line));
      if (!counted.contains({trial.key.cell_id, trial.key.phase, trial.key.block, trial.attempt})) continue;
      const nlohmann::json::json_pointer place("/load/histogram");
      if (!trial.evidence.is_object() || !trial.evidence.contains(place)) continue;
      const nlohmann::json& histogram = trial.evidence.at(place);
      latency[trial.key.cell_id].merge(
          Histogram::from_json(histogram.is_string() ? nlohmann::ordered_json::parse(histogram.get<std::string>())
                                                     : nlohmann::ordered_json::parse(histogram.dump())));
    } catch (const std::exception&) {
      // A line that was cut short, or whose evidence is of another time: its figures are in result.json.
    }
  }
  return latency;
}

}  // namespace

PageRun read_page_run(const fs::path& folder_or_file) {
  PageRun run;
  run.result = read_result(folder_or_file);
  const fs::path folder = fs::is_directory(folder_or_file) ? folder_or_file : folder_or_file.parent_path();
  run.label = fs::absolute(folder / "").lexically_normal().parent_path().filename().string();
  run.latency = read_latency(folder / "trials.jsonl", run.result);
  if (std::ifstream in(folder / "spec.toml", std::ios::binary); in)
    run.specification = {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::string scale, command = "run";
  bool is_plan = false;
  if (std::ifstream in(folder / "plan.json", std::ios::binary); in) {
    const nlohmann::json plan = nlohmann::json::parse(in, nullptr, false);
    if (plan.is_object()) {
      is_plan = true;
      scale = plan.value("scale", "");
      command = plan.value("search", "run");
    }
  }
  if (is_plan && !run.specification.empty()) {
    try {
      const Specification spec = parse_specification(run.specification, (folder / "spec.toml").string(), scale);
      run.title = spec.title;
      run.about = spec.about;
      if (!spec.reference.empty()) run.reference = load_reference_table(spec.reference);
    } catch (const UsageError&) {
      // Of a bakeoff of another time: the figures stand without its words.
    }
    run.repeat = {"bakeoff bundle " + folder.string() + "    # everything below in one archive",
                  "bakeoff " + command + " spec.toml" + (scale.empty() ? "" : " --scale " + scale) + " --out again",
                  "bakeoff compare " + folder.string() + " again"};
  }
  run.where_cpu_went = profile_table(run.result);
  return run;
}

void write_page(const fs::path& folder) {
  const std::string html = to_html({read_page_run(folder)}, load_page_scripts());
  const fs::path file = folder / "page.html";
  std::ofstream out(file, std::ios::binary);
  out << html;
  if (!out.flush()) throw StartError("cannot write " + file.string());
}

fs::path newest_run(const fs::path& runs) {
  fs::path newest;
  fs::file_time_type when{};
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(runs, unreadable)) {
    const fs::file_time_type written = fs::last_write_time(entry.path() / "result.json", unreadable);
    if (unreadable) continue;
    if (newest.empty() || written > when) {
      newest = entry.path();
      when = written;
    }
  }
  if (newest.empty())
    throw UsageError("there is no run in " + runs.string() +
                     "/ yet; name a run's folder, or begin one: bakeoff run quick");
  return newest;
}

}  // namespace bakeoff
