// bakeoff trace: where requests wait in servers, as pictures, a page and traces.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>

#include "core/base/errors.h"
#include "core/base/units.h"
#include "core/base/untrusted.h"
#include "core/trace/region.h"
#include "harness/commands/command_line.h"
#include "harness/ground/file_sets.h"
#include "harness/machine/topology.h"
#include "harness/plan/architectures.h"
#include "harness/plan/preset.h"
#include "harness/processes/affinity.h"
#include "harness/processes/processor_lock.h"
#include "harness/run/feasibility.h"
#include "harness/run/trace_run.h"
#include "harness/slowdisk/disk_model.h"
#include "results/timeline/chrome_trace.h"
#include "results/timeline/picture.h"
#include "results/timeline/sentences.h"
#include "results/timeline/timeline_page.h"

namespace bakeoff {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

constexpr const char* scene_of_architectures = "lecture";

void write(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  if (!out.flush()) throw StartError("cannot write " + file.string() + ": " + std::strerror(errno));
}

// Before anything is started.
void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw StartError("cannot make " + folder.string() + ": " + error.message() + "; choose another --out");
  write(folder / "page.html", "");
  fs::remove(folder / "page.html", error);
}

// The lecture's scene with these servers: as it sets them up, or as their defaults do.
Specification scene_with(const std::vector<std::string>& names) {
  const Specification lecture = load_specification(scene_of_architectures);
  const std::string& text = lecture.source_text;
  constexpr std::string_view head = "[[server]]";
  const std::size_t servers = text.find(head);
  std::string chosen = text.substr(0, servers);
  for (const std::string& name : names) {
    std::string table;
    for (std::size_t at = servers; at != std::string::npos;) {
      const std::size_t next = text.find(head, at + 1);
      const std::string one = text.substr(at, next == std::string::npos ? next : next - at);
      if (one.find("architecture = \"" + name + "\"") != std::string::npos) table = one;
      at = next;
    }
    if (table.empty()) {
      table = fmt::format("{}\n{} = \"{}\"\n", head, find_preset(name) ? "preset" : "architecture", name);
      for (const ArchitectureEntry& one : architecture_entries()) {
        if (one.name == name) table += fmt::format("workers = [\"{}\"]\n", one.workers);
      }
    }
    chosen += table;
  }
  Specification spec = parse_specification(chosen, lecture.file);
  spec.name = names.size() == 1 ? names.front() : scene_of_architectures;
  spec.file = lecture.file;
  return spec;
}

bool names_server(const std::string& word) {
  const std::vector<std::string> architectures = Programs::architectures();
  return std::find(architectures.begin(), architectures.end(), word) != architectures.end() ||
         (!is_path(word) && find_preset(word).has_value());
}

Specification specification_of(const std::vector<std::string>& words) {
  const bool all_servers = std::all_of(words.begin(), words.end(), names_server);
  if (all_servers) return scene_with(words);
  if (words.size() == 1) return load_specification(words.front());
  for (const std::string& word : words) {
    if (!names_server(word))
      throw UsageError("bakeoff trace: `" + word +
                       "` is no architecture and no preset; give one specification, or architectures (bakeoff list)");
  }
  return {};
}

// Of each server of ours the cell with the fewest connections: a picture of a thousand shows nothing.
std::vector<Cell> cells_to_trace(const Specification& spec, const std::vector<Cell>& all) {
  std::vector<Cell> chosen;
  for (const ServerSpec& server : spec.servers) {
    if (server.outside) {
      std::fprintf(stderr, "%s is not ours and records nothing: it is left out\n", server.name.c_str());
      continue;
    }
    const Cell* least = nullptr;
    for (const Cell& cell : all) {
      if (cell.server == server.name && (least == nullptr || cell.connections < least->connections)) least = &cell;
    }
    if (least != nullptr) chosen.push_back(*least);
  }
  if (chosen.empty()) throw UsageError(spec.file + ": no server in it is ours, and others record nothing");
  return chosen;
}

void use_disk(Specification& spec, const std::string& model, const Workload& workload) {
  load_disk(model);  // UsageError for what is none
  if (!spec.disk) {
    spec.disk.emplace();
    spec.disk->cache_bytes = workload.files.total_bytes() / 2;
  }
  if (spec.disk->model != model) spec.disk->model_overrides.clear();
  spec.disk->model = model;
}

}  // namespace

int trace_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  std::string out, duration = "1s", disk;
  TraceBounds bounds;
  int events = 65536;
  options.add_options()("requests", po::value(&bounds.requests)->value_name("N")->default_value(bounds.requests),
                        "end after so many replies; a scene ([trace] in the specification) ends by itself")(
      "duration", po::value(&duration)->value_name("T")->default_value(duration), "end after that time at the latest")(
      "disk", po::value(&disk)->value_name("MODEL"),
      "of the files: scsi10k, ssd, constant, or a TOML file; where the specification has none, its cache holds half of "
      "the files")("events", po::value(&events)->value_name("N")->default_value(events),
                   "that each lane keeps, the newest")("out", po::value(&out)->value_name("DIR"),
                                                       "where to (default: runs/trace-NAME-DATE-TIME)");
  po::variables_map given;
  if (!read_options("trace", arguments, options, 64, given)) return exit_status::fine;
  word(given, 0, "trace", "a specification, or architectures");
  bounds.duration_s = static_cast<double>(parse_duration_ms(duration)) / 1e3;
  if (bounds.requests == 0 || bounds.duration_s <= 0)
    throw UsageError("bakeoff trace: --requests and --duration must be more than 0");
  if (events < 1 || events > TraceRegion::most_events)
    throw UsageError(
        fmt::format("bakeoff trace: --events: expected 1 to {}, got {}", +TraceRegion::most_events, events));

  Programs programs(reactor);
  Specification spec = specification_of(given["words"].as<std::vector<std::string>>());
  spec.trace_events = events;
  if (!disk.empty()) use_disk(spec, disk, load_workload(spec.workload, spec.workload_overrides));
  const std::vector<Cell> cells = cells_to_trace(spec, feasible_cells(programs, spec));
  const fs::path folder = out.empty() ? fresh_folder("trace-" + spec.name) : fs::path(out);
  make_folder(folder);

  const Placement placement = place(spec);
  const ProcessorLock lock(placement.occupied);
  const FileSets file_sets(reactor, spec, cells);
  const Pin pin(placement.harness_processors);
  std::vector<TracedServer> traced;
  for (const Cell& cell : cells) {
    TraceRun run = trace_server(programs, spec, file_sets, placement, cell, bounds);
    TracedServer server{make_timeline(run.record), {}, run.remark};
    server.sentences = sentences_of(server.timeline);
    std::printf("%s\n", cell.server.c_str());
    for (const std::string& sentence : server.sentences) std::printf("  %s\n", sentence.c_str());
    if (!run.remark.empty()) std::printf("  %s: %s\n", cell.server.c_str(), run.remark.c_str());
    std::fflush(stdout);
    traced.push_back(std::move(server));
  }
  const std::int64_t longest_ns = longest_of(traced);
  for (const TracedServer& server : traced) {
    const std::string& name = server.timeline.server;
    write(folder / (name + ".svg"), picture_svg(server.timeline, {.length_ns = longest_ns}));
    write(folder / (name + ".json"), json_text(to_chrome_trace(server.timeline)) + "\n");
  }
  write(folder / "page.html", timeline_page(spec.title, spec.about, traced));
  std::fprintf(stderr, "page: %s/page.html; a picture (.svg) and a trace for ui.perfetto.dev (.json) of each server\n",
               folder.c_str());
  return exit_status::fine;
}

}  // namespace bakeoff
