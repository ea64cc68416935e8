#include "harness/run/feasibility.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/ground/file_sets.h"
#include "harness/machine/topology.h"
#include "harness/plan/plan.h"
#include "harness/run/launcher.h"
#include "harness/run/load_run.h"

namespace bakeoff {
namespace {

constexpr double patience_s = 60;  // for a program that only judges its command line, on a busy machine
constexpr double log_patience_s = 3600;

// Without the program's own name, which it puts before its messages.
std::string without_name(std::string line, const std::string& name) {
  if (line.starts_with(name + ": ")) line.erase(0, name.size() + 2);
  return line;
}

// What a server of ours says of a cell's command line. Fails with its complaint.
nlohmann::json described(Programs& programs, const ServerSpec& server, const Cell& cell, const Workload& workload) {
  Command command{{programs.find(cell.architecture).string(), "--describe"}, {}};
  for (std::string& one : cell_arguments(cell, workload)) command.arguments.push_back(std::move(one));
  Child child(programs.reactor(), command);
  if (!child.wait_for_end(after_s(patience_s)))
    throw StartError(command.arguments.front() + " --describe does not end");
  const std::string output = child.rest_of_output();
  if (child.exit_status() != 0) {
    std::string why = child.errors().substr(0, child.errors().find('\n'));
    why = without_name(without_name(why, "bakeoff"), cell.architecture);
    throw UsageError(server.where + ": server `" + server.name + "`: " + why);
  }
  nlohmann::json description = parse_untrusted_or_discard(output);
  return description.is_object() ? description : nlohmann::json::object();
}

// Clients whose connection nobody serves for as long as those of others last.
void check_starvation(const Specification& spec, const ServerSpec& server, const Cell& cell, std::uint64_t held) {
  const double starved = 1 - static_cast<double>(held) / static_cast<double>(cell.connections);
  if (held >= cell.connections || starved <= spec.validity.starved) return;
  throw UsageError(server.where + ": server `" + server.name + "`: " + cell.id + ": with workers = " +
                   std::to_string(cell.workers) + " it holds " + std::to_string(held) + " connections of " +
                   std::to_string(cell.connections) + ", and the clients keep theirs: the others would starve. " +
                   (held == cell.workers ? "Give workers = [\"connections\"]" : "Raise its option connections") +
                   ", fewer connections, or a workload with requests_per_connection in its [load]");
}

void check_server(Programs& programs, const Specification& spec, const Cell& cell, const Workload& workload,
                  std::map<std::vector<std::string>, nlohmann::json>& known) {
  const ServerSpec& server = spec.server(cell.server);
  nlohmann::json description;
  if (server.outside) {
    description = programs.description_of(server);
  } else {
    std::vector<std::string> key = cell_arguments(cell, workload);
    key.push_back(server.name);
    const auto found = known.find(key);
    description = found != known.end() ? found->second
                                       : known.emplace(key, described(programs, server, cell, workload)).first->second;
  }
  const bool keeps = cell.load_model != "partly-open" && !workload.clients.requests_per_connection;
  if (!keeps) return;
  if (description.value("connections_are_workers", false)) {
    check_starvation(spec, server, cell, cell.workers);
  } else if (description.contains("connections")) {
    check_starvation(spec, server, cell, description.at("connections").get<std::uint64_t>());
  }
}

// The client judges its command line, and says what it thinks of the workload.
void check_client(Programs& programs, const Specification& spec, const Cell& cell, std::set<std::string>& said) {
  Command command = load_command(programs, spec, cell, 1, spec.seed, {spec.warmup_s, spec.duration_s});
  command.arguments.emplace_back("--check");
  Child child(programs.reactor(), command);
  if (!child.wait_for_end(after_s(log_patience_s))) throw StartError("bakeoff-load --check does not end");
  std::istringstream lines(child.errors());
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    last = without_name(line, "bakeoff-load");
    if (child.exit_status() == 0 && said.insert(last).second)
      std::fprintf(stderr, "%s: %s\n", spec.name.c_str(), last.c_str());
  }
  if (child.exit_status() != 0)
    throw UsageError(spec.file + ": " + cell.id + ": the client refuses this load: " + last);
}

}  // namespace

std::vector<Cell> feasible_cells(Programs& programs, const Specification& spec, Search search) {
  programs.check(spec);
  place(spec);
  std::vector<Cell> cells = plan_cells(spec, workload_name(spec));
  check_descriptors(cells);
  std::map<std::string, Workload> workloads;
  std::map<std::vector<std::string>, nlohmann::json> known;
  std::set<std::string> said, clients;
  for (const Cell& cell : cells) {
    const auto [loaded, is_new] = workloads.try_emplace(contest_of(cell));
    if (is_new) {
      try {
        loaded->second = load_workload(spec.workload, workload_overrides(spec, cell));
      } catch (const UsageError& error) {
        throw UsageError(spec.file + ": [workload]: " + error.what());
      }
    }
    if (const std::uint32_t least = spec.hosts.ranks() * spec.client_threads; cell.connections < least)
      throw UsageError(spec.file + ": " + cell.id + ": " + std::to_string(spec.hosts.ranks()) + " ranks of " +
                       std::to_string(spec.client_threads) + " threads need " + std::to_string(least) +
                       " connections or more");
    check_server(programs, spec, cell, loaded->second, known);
    if (clients.insert(contest_of(cell)).second)
      check_client(programs, spec, search == Search::peak ? at_rate(cell, spec.peak.start) : cell, said);
  }
  return cells;
}

}  // namespace bakeoff
