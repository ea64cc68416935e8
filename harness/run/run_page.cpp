#include "harness/run/run_page.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string_view>
#include <tuple>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/machine/profile.h"
#include "harness/plan/specification.h"
#include "harness/run/stored_result.h"

namespace bakeoff {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_text_bytes = 16 << 20;

// Nothing where the run has no such file.
std::string text_of(const fs::path& file, std::size_t most_bytes) {
  std::error_code error;
  return fs::exists(file, error) ? read_untrusted(file, most_bytes) : "";
}

// Lines of a file that may be a gigabyte. Throws UsageError for a line that no trial can be.
template <class See>
void each_line(const fs::path& path, See see) {
  UntrustedFile file(path);
  std::vector<char> piece(std::size_t{1} << 20);
  std::string line;
  while (const std::size_t got = file.read(piece)) {
    std::string_view left(piece.data(), got);
    for (std::size_t end; (end = left.find('\n')) != std::string_view::npos; left.remove_prefix(end + 1)) {
      see(std::string_view(line.append(left.substr(0, end))));
      line.clear();
    }
    line += left;
    if (line.size() > most_json_bytes) throw UsageError(path.string() + ": damaged: a line without an end");
  }
}

Histogram histogram_of(const nlohmann::json& evidence) {
  const nlohmann::json parsed =
      evidence.is_string() ? parse_untrusted_or_discard(evidence.get<std::string>()) : evidence;
  return Histogram::from_json(nlohmann::ordered_json::parse(json_text(parsed)));
}

// Line by line, and only those of the cells whose distribution is drawn.
std::map<std::string, Histogram> read_latency(const fs::path& file, const ExperimentResult& result) {
  std::map<std::string, Histogram> latency;
  std::error_code error;
  if (!fs::exists(file, error)) return latency;
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
  each_line(file, [&](std::string_view line) {
    if (std::none_of(marks.begin(), marks.end(),
                     [&](const std::string& mark) { return line.find(mark) != std::string_view::npos; }))
      return;
    try {
      const Trial trial = trial_from_json(parse_untrusted(line, "a trial"));
      if (!counted.contains({trial.key.cell_id, trial.key.phase, trial.key.block, trial.attempt})) return;
      const nlohmann::json::json_pointer place("/load/histogram");
      if (!trial.evidence.is_object() || !trial.evidence.contains(place)) return;
      const Histogram histogram = histogram_of(trial.evidence.at(place));
      latency[trial.key.cell_id].merge(histogram);
    } catch (const std::exception&) {
      // A line that was cut short, or whose evidence is of another time: its figures are in result.json.
    }
  });
  return latency;
}

}  // namespace

PageRun read_page_run(const fs::path& folder_or_file) {
  PageRun run;
  run.result = read_result(folder_or_file);
  const fs::path folder = fs::is_directory(folder_or_file) ? folder_or_file : folder_or_file.parent_path();
  run.label = fs::absolute(folder / "").lexically_normal().parent_path().filename().string();
  run.latency = read_latency(folder / "trials.jsonl", run.result);
  run.specification = text_of(folder / "spec.toml", most_text_bytes);
  std::string scale, command = "run";
  const nlohmann::json plan = parse_untrusted_or_discard(text_of(folder / "plan.json", most_json_bytes));
  const bool is_plan = plan.is_object();
  if (is_plan) {
    try {
      scale = plan.value("scale", "");
      command = plan.value("search", "run");
    } catch (const nlohmann::json::exception& error) {
      throw UsageError((folder / "plan.json").string() + ": damaged: " + plain_words(error));
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
  std::error_code absent;
  fs::remove(file, absent);  // in somebody else's folder it may be a link to anything
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
