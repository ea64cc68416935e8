#include "harness/run/trace_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "core/base/errors.h"
#include "core/stats_region.h"
#include "core/trace/region.h"
#include "harness/run/launcher.h"
#include "harness/run/load_run.h"
#include "harness/slowdisk/prefill.h"

namespace bakeoff {
namespace {

// Before the scene each client asks so often: names are resolved, connections are where they stay.
constexpr std::size_t warm_requests = 2;
// Until the clients have what the server has sent.
constexpr double arrival_s = 0.01;

std::uint64_t replies_of(const StatsRegion& region) {
  std::uint64_t sum = 0;
  for (const WorkerStats& worker : region.used()) {
    for (const Counter& counter : worker.replies) sum += counter.get();
  }
  return sum;
}

// What each client asks for, as a session log of the load generator: one session each.
struct Script {
  std::string text;
  std::uint64_t requests = 0;
};

Script write_script(const Specification& spec, const Cell& cell, const Workload& workload) {
  const TraceScene& scene = *spec.scene;
  const std::uint64_t cache_bytes = has_slow_disk(spec) ? spec.disk->cache_bytes : 0;
  const std::vector<std::uint32_t> present = files_in_memory(workload, cache_bytes, spec.seed);
  std::vector<std::uint32_t> absent;
  for (std::uint32_t file = 0; file < workload.files.size(); ++file) {
    if (workload.files[file].on_disk && std::find(present.begin(), present.end(), file) == present.end())
      absent.push_back(file);
  }
  if (present.size() < cell.connections || absent.size() < scene.absentees.size()) {
    throw UsageError(
        fmt::format("{}: [trace]: {} of {} files are in memory; each of the {} clients needs one of its "
                    "own, and each in not_in_memory one that is not; choose another cache in [disk]",
                    spec.file, present.size(), workload.files.size(), cell.connections));
  }
  Script script;
  const auto ask = [&](std::uint32_t file, double think_s) {
    script.text += fmt::format("{} think={:.6f}\n", workload.files[file].path, think_s);
    ++script.requests;
  };
  for (std::uint32_t client = 1; client <= cell.connections; ++client) {
    const std::uint32_t own = present[present.size() - client];  // read last, so evicted last
    for (std::size_t i = 0; i < warm_requests; ++i) ask(own, scene.think_s);
    const auto absentee = std::find(scene.absentees.begin(), scene.absentees.end(), client);
    if (absentee == scene.absentees.end()) {
      for (std::uint32_t i = 0; i < scene.requests; ++i) ask(own, scene.think_s);
    } else {  // it is away for a while
      for (std::uint32_t i = 0; i < scene.requests / 4; ++i) ask(own, scene.think_s);
      ask(absent[static_cast<std::size_t>(absentee - scene.absentees.begin())], scene.think_s);
      for (std::uint32_t i = 0; i < scene.requests / 4; ++i) ask(own, scene.think_s);
    }
    script.text += "\n";
  }
  return script;
}

}  // namespace

TraceRun trace_server(Programs& programs, const Specification& spec, const FileSets& file_sets,
                      const Placement& placement, const Cell& plain, TraceBounds bounds) {
  Cell cell = plain;
  const std::string events = std::to_string(spec.trace_events);
  cell.options["trace-events"] = events;
  Launcher launcher(programs, spec, file_sets, placement);
  const Launcher::Ground ground = launcher.lay(cell, false);
  const std::unique_ptr<ServerProcess> server = launcher.start(cell, ground);
  const TraceRegion of_server = TraceRegion::of_process(server->group());
  const StatsRegion counters = StatsRegion::of_process(server->group());
  std::optional<TraceRegion> of_disk;
  if (ground.disk) of_disk.emplace(TraceRegion::of_process(ground.disk->pid()));

  TraceRun run;
  Command client = load_command(programs, spec, cell, server->port(), spec.seed, {0, bounds.duration_s});
  client.processors = placement.client_processors;
  client.arguments.insert(client.arguments.end(), {"--hold", "5s", "--trace-events", events});
  std::uint64_t wanted = bounds.requests;
  if (spec.scene) {
    const Script script = write_script(spec, cell, file_sets.of(cell).workload);
    const std::filesystem::path log = launcher.scratch() / "scene.log";
    std::ofstream(log) << script.text;
    client.arguments.insert(client.arguments.end(),
                            {"--wsesslog", fmt::format("{},0,{}", cell.connections, log.string())});
    wanted = script.requests;
    run.record.replies_before = warm_requests;
  }
  LoadRun load(programs.reactor(), client);
  if (!load.measured_from()) {
    load.wait_for_end(after_s(1));
    throw StartError(cell.server + ": the client did not start: " + load.child().errors());
  }
  const TraceRegion of_clients = TraceRegion::of_process(load.child().pid());
  const SteadyTime end = after_s(bounds.duration_s);
  while (replies_of(counters) < wanted && !server->has_ended() && !load.has_ended() &&
         std::chrono::steady_clock::now() < end)
    programs.reactor().sleep_until(after_s(0.002));
  programs.reactor().sleep_until(after_s(arrival_s));
  run.record.server = cell.server;
  run.record.of_clients = of_clients.read();
  run.record.of_server = of_server.read();
  run.record.unrecorded = of_server.unrecorded();
  if (of_disk) run.record.of_disk = of_disk->read();
  if (server->has_ended()) {
    run.remark = "the server " + server->exit_reason() + "; the trace is what it had recorded by then";
  } else if (spec.scene && replies_of(counters) < wanted) {
    run.remark = fmt::format("not all clients had their replies within {:g} s (--duration)", bounds.duration_s);
  }
  load.release();
  load.child().stop();
  server->stop();
  return run;
}

}  // namespace bakeoff
