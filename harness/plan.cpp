#include "harness/plan.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "core/errors.h"
#include "workloads/random.h"

namespace bakeoff {
namespace {

constexpr std::size_t most_cells = 100'000;
constexpr std::uint64_t spare_descriptors = 64;  // of the client and of servers, beside their connections

using Options = std::map<std::string, std::string>;

struct Variant {
  std::string name;  // "poller=select/body=mmap", of the options that have several values
  Options options;
};

std::size_t variant_count(const OptionAxes& axes) {
  std::size_t count = 1;
  for (const auto& [key, values] : axes) count = std::min(count * values.size(), most_cells + 1);
  return count;
}

std::vector<Variant> variants(const OptionAxes& axes) {
  std::vector<Variant> all = {{}};
  for (const auto& [key, values] : axes) {
    std::vector<Variant> longer;
    for (const Variant& variant : all) {
      for (const std::string& value : values) {
        Variant next = variant;
        next.options[key] = value;
        if (values.size() > 1) next.name += (next.name.empty() ? "" : "/") + key + "=" + value;
        longer.push_back(std::move(next));
      }
    }
    all = std::move(longer);
  }
  return all;
}

std::uint32_t worker_count(const std::string& workers, std::uint32_t connections) {
  return workers == "connections" ? connections : static_cast<std::uint32_t>(std::stoul(workers));
}

Cell make_cell(const ServerSpec& server, const Variant& variant, std::uint32_t connections, const std::string& workers, const std::string& workload) {
  Cell cell;
  cell.server = server.name;
  cell.architecture = server.architecture;
  cell.variant = variant.name;
  cell.options = variant.options;
  // What a server is told about connections may follow from how many there are, as its workers may.
  for (auto& [key, value] : cell.options) {
    if (value == "connections") value = std::to_string(connections);
  }
  cell.workload = workload;
  cell.connections = connections;
  cell.workers = worker_count(workers, connections);
  cell.id = server.name + "/connections=" + std::to_string(connections) + "/workers=" + std::to_string(cell.workers);
  if (!variant.name.empty()) cell.id += "/" + variant.name;
  return cell;
}

template <class List, class Value>
bool allows(const List& list, const Value& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

bool matches(const CellFilter& filter, const Cell& cell) {
  if (!allows(filter.servers, cell.server) || !allows(filter.connections, cell.connections)) return false;
  return filter.workers.empty() || std::any_of(filter.workers.begin(), filter.workers.end(), [&](const std::string& workers) {
           return worker_count(workers, cell.connections) == cell.workers;
         });
}

}  // namespace

std::vector<Cell> plan_cells(const Specification& spec, const std::string& workload_name) {
  std::size_t expected = 0;
  for (const ServerSpec& server : spec.servers) {
    expected += variant_count(server.options) * server.connections.size() * server.workers.size();
    if (expected > most_cells) {
      throw UsageError(spec.name + ": the matrix has more than " + std::to_string(most_cells) + " cells; nothing was run. Fewer axes or values, or exclude some");
    }
  }
  std::vector<Cell> cells;
  std::set<std::string> seen;
  const auto add = [&](Cell cell) {
    cell.bodies_discarded = spec.discard_bodies;
    if (seen.insert(cell.id).second) cells.push_back(std::move(cell));
  };
  for (const ServerSpec& server : spec.servers) {
    for (const Variant& variant : variants(server.options)) {
      for (const std::uint32_t connections : server.connections) {
        for (const std::string& workers : server.workers) {
          Cell cell = make_cell(server, variant, connections, workers, workload_name);
          const bool excluded = std::any_of(spec.exclude.begin(), spec.exclude.end(), [&](const CellFilter& filter) { return matches(filter, cell); });
          if (!excluded) add(std::move(cell));
        }
      }
      for (const CellFilter& filter : spec.include) {
        if (!allows(filter.servers, server.name)) continue;
        for (const std::uint32_t connections : filter.connections) {
          for (const std::string& workers : filter.workers.empty() ? server.workers : filter.workers) {
            add(make_cell(server, variant, connections, workers, workload_name));
          }
        }
      }
    }
  }
  if (cells.empty()) throw UsageError(spec.name + ": no cell is left; `exclude` takes out all of them");
  return cells;
}

void check_descriptors(const std::vector<Cell>& cells) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  std::uint64_t most = limit.rlim_max;
  // Who may raise the limit raises it up to what the kernel allows.
  if (geteuid() == 0) std::ifstream("/proc/sys/fs/nr_open") >> most;
  const std::uint64_t most_connections = most - std::min(most, spare_descriptors);
  for (const Cell& cell : cells) {
    if (cell.connections <= most_connections) continue;
    const std::uint64_t processes = most_connections == 0 ? 0 : (cell.connections + most_connections - 1) / most_connections;
    throw UsageError(cell.id + ": a process may have " + std::to_string(most) + " descriptors, so one client can open " + std::to_string(most_connections) +
                     " connections; ask for no more, or raise the limit (ulimit -Hn). A server would need " + std::to_string(processes) + " processes");
  }
}

std::vector<TrialKey> interleave(const std::vector<std::string>& cell_ids, Phase phase, std::uint32_t blocks, std::uint64_t seed) {
  std::vector<TrialKey> order;
  for (std::uint32_t block = 0; block < blocks; ++block) {
    std::vector<std::string> shuffled = cell_ids;
    // Its own stream a block, so that a resumed run goes on in the same order.
    Random random(seed, 2 * std::uint64_t{block} + (phase == Phase::final ? 1 : 0));
    for (std::size_t left = shuffled.size(); left > 1; --left) std::swap(shuffled[left - 1], shuffled[random.below(static_cast<std::uint32_t>(left))]);
    for (const std::string& id : shuffled) order.push_back({phase, block, id});
  }
  return order;
}

}  // namespace bakeoff
