#include "harness/plan/plan.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <set>

#include "core/base/errors.h"
#include "core/base/random.h"

namespace bakeoff {
namespace {

constexpr double most_cells = 100'000;
constexpr std::uint64_t spare_descriptors = 64;  // of the client and of servers, beside their connections

// One value each of the axes that are not connections and workers.
struct Variant {
  std::string name;  // "rate=500/poller=select/body=mmap", of the axes that have several values, and the rate
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> workload_set;
  std::optional<double> rate;
};

// Of the matrix of a server; a double, since a slip in a specification makes more than an integer holds.
double cell_count(const Specification& spec, const ServerSpec& server) {
  double count = 1;
  const auto times = [&](std::size_t factor) { count *= static_cast<double>(std::max<std::size_t>(factor, 1)); };
  times(server.connections.size());
  times(server.workers.size());
  times(server.rates.size());
  for (const OptionAxes* axes : {&server.options, &spec.workload_axes}) {
    for (const auto& [key, values] : *axes) times(values.size());
  }
  return count;
}

// Every variant of `all` with every value of an axis; `set` puts the value there.
template <class Values, class Set>
void multiply(std::vector<Variant>& all, const Values& values, Set set) {
  std::vector<Variant> longer;
  for (const Variant& variant : all) {
    for (const auto& value : values) {
      longer.push_back(variant);
      set(longer.back(), value);
    }
  }
  all = std::move(longer);
}

void name_it(Variant& variant, const std::string& key, const std::string& value) {
  variant.name += (variant.name.empty() ? "" : "/") + key + "=" + value;
}

// `named`: options that the name tells even where they have one value.
std::vector<Variant> variants(const std::vector<double>& rates, const OptionAxes& workload, const OptionAxes& options,
                              const OptionAxes& named = {}) {
  std::vector<Variant> all = {{}};
  if (!rates.empty()) {
    multiply(all, rates, [](Variant& variant, double rate) {
      variant.rate = rate;
      name_it(variant, "rate", rate_text(rate));
    });
  }
  for (const auto& [key, values] : workload) {
    multiply(all, values, [&, &name = key](Variant& variant, const std::string& value) {
      variant.workload_set[name] = value;
      name_it(variant, name, value);
    });
  }
  for (const auto& [key, values] : options) {
    const bool is_named =
        values.size() > 1 ||
        std::any_of(named.begin(), named.end(), [&, &name = key](const auto& one) { return one.first == name; });
    multiply(all, values, [&, &name = key](Variant& variant, const std::string& value) {
      variant.options[name] = value;
      if (is_named) name_it(variant, name, value);
    });
  }
  return all;
}

std::uint32_t worker_count(const std::string& workers, std::uint32_t connections) {
  return workers == "connections" ? connections : static_cast<std::uint32_t>(std::stoul(workers));
}

Cell make_cell(const Specification& spec, const ServerSpec& server, const Variant& variant, std::uint32_t connections,
               const std::string& workers, const std::string& workload) {
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
  cell.workload_set = variant.workload_set;
  // Requests at the times of a log are requests by a schedule.
  const bool by_log = spec.keeps_log_times && spec.load_model == "closed" && !variant.rate;
  cell.load_model = by_log ? "open" : spec.load_model;
  cell.rate = variant.rate;
  cell.bodies_discarded = spec.discard_bodies;
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

bool allows(const OptionAxes& wanted, const std::map<std::string, std::string>& has) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& option) {
    const auto found = has.find(option.first);
    return found != has.end() && allows(option.second, found->second);
  });
}

bool matches(const CellFilter& filter, const Cell& cell) {
  if (!allows(filter.servers, cell.server) || !allows(filter.connections, cell.connections)) return false;
  if (!allows(filter.options, cell.options) || !allows(filter.workload, cell.workload_set)) return false;
  if (!filter.rates.empty() && (!cell.rate || !allows(filter.rates, *cell.rate))) return false;
  return filter.workers.empty() ||
         std::any_of(filter.workers.begin(), filter.workers.end(), [&](const std::string& workers) {
           return worker_count(workers, cell.connections) == cell.workers;
         });
}

// The axes, with other values where `instead` has some.
OptionAxes replaced(OptionAxes axes, const OptionAxes& instead) {
  for (const auto& [key, values] : instead) {
    const auto found =
        std::find_if(axes.begin(), axes.end(), [&, &name = key](const auto& axis) { return axis.first == name; });
    if (found == axes.end()) {
      axes.emplace_back(key, values);
    } else {
      found->second = values;
    }
  }
  return axes;
}

template <class List>
const List& either(const List& first, const List& second) {
  return first.empty() ? second : first;
}

}  // namespace

std::vector<Cell> plan_cells(const Specification& spec, const std::string& workload_name) {
  double expected = 0;
  for (const ServerSpec& server : spec.servers) expected += cell_count(spec, server);
  if (expected > most_cells) {
    throw UsageError(
        fmt::format("{}: the matrix has {:.0f} cells, more than {:.0f}; nothing was run. Give its axes fewer values, "
                    "or make several "
                    "experiments",
                    spec.name, expected, most_cells));
  }
  std::vector<Cell> cells;
  std::set<std::string> seen;
  const auto add = [&](Cell cell) {
    if (seen.insert(cell.id).second) cells.push_back(std::move(cell));
  };
  for (const ServerSpec& server : spec.servers) {
    for (const Variant& variant : variants(server.rates, spec.workload_axes, server.options)) {
      for (const std::uint32_t connections : server.connections) {
        for (const std::string& workers : server.workers) {
          Cell cell = make_cell(spec, server, variant, connections, workers, workload_name);
          const bool excluded = std::any_of(spec.exclude.begin(), spec.exclude.end(),
                                            [&](const CellFilter& filter) { return matches(filter, cell); });
          if (!excluded) add(std::move(cell));
        }
      }
    }
    for (const CellFilter& filter : spec.include) {
      if (!allows(filter.servers, server.name)) continue;
      for (const Variant& variant :
           variants(either(filter.rates, server.rates), replaced(spec.workload_axes, filter.workload),
                    replaced(server.options, filter.options), filter.options)) {
        for (const std::uint32_t connections : filter.connections) {
          for (const std::string& workers : either(filter.workers, server.workers)) {
            add(make_cell(spec, server, variant, connections, workers, workload_name));
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
    const std::uint64_t processes =
        most_connections == 0 ? 0 : (cell.connections + most_connections - 1) / most_connections;
    throw UsageError(cell.id + ": a process may have " + std::to_string(most) +
                     " descriptors, so one client can open " + std::to_string(most_connections) +
                     " connections; ask for no more, or raise the limit (ulimit -Hn). A server would need " +
                     std::to_string(processes) + " processes");
  }
}

std::vector<TrialKey> one_block(std::vector<std::string> cell_ids, Phase phase, std::uint32_t block,
                                std::uint64_t seed) {
  // Its own stream a block, so that a resumed run goes on in the same order.
  Random random(seed, 2 * std::uint64_t{block} + (phase == Phase::final ? 1 : 0));
  for (std::size_t left = cell_ids.size(); left > 1; --left)
    std::swap(cell_ids[left - 1], cell_ids[random.below(static_cast<std::uint32_t>(left))]);
  std::vector<TrialKey> order;
  for (std::string& id : cell_ids) order.push_back({phase, block, std::move(id)});
  return order;
}

std::vector<TrialKey> interleave(const std::vector<std::string>& cell_ids, Phase phase, std::uint32_t blocks,
                                 std::uint64_t seed) {
  std::vector<TrialKey> order;
  for (std::uint32_t block = 0; block < blocks; ++block) {
    for (TrialKey& key : one_block(cell_ids, phase, block, seed)) order.push_back(std::move(key));
  }
  return order;
}

}  // namespace bakeoff
