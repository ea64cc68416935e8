#include "harness/machine/topology.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "core/base/errors.h"
#include "harness/machine/process_probe.h"
#include "harness/processes/affinity.h"

namespace bakeoff {
namespace {

namespace fs = std::filesystem;

constexpr int most_processors = 65'536;  // in a list of the kernel's: more are damage

std::optional<std::string> first_line(const fs::path& file) {
  const auto text = read_small_file(file);
  if (!text) return std::nullopt;
  return text->substr(0, text->find('\n'));
}

std::optional<int> number_of(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<int> number_in(const fs::path& file) {
  const auto line = first_line(file);
  return line ? number_of(*line) : std::nullopt;
}

// The lowest processor of a list that has this one; empty: there is no such list.
std::optional<int> lowest_in(const fs::path& file, int number) {
  const std::vector<int> all = parse_processor_list(first_line(file).value_or(""));
  if (std::find(all.begin(), all.end(), number) == all.end()) return std::nullopt;
  return *std::min_element(all.begin(), all.end());
}

int last_level_cache(const fs::path& processor, int number) {
  int highest = 0, lowest = -1;
  for (int index = 0;; ++index) {
    const fs::path cache = processor / "cache" / ("index" + std::to_string(index));
    const auto level = number_in(cache / "level");
    if (!level) return lowest;
    if (*level <= highest || first_line(cache / "type") == "Instruction") continue;
    if (const auto first = lowest_in(cache / "shared_cpu_list", number)) {
      highest = *level;
      lowest = *first;
    }
  }
}

int memory_node(const fs::path& processor) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(processor, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("node")) continue;
    if (const auto node = number_of(std::string_view(name).substr(4))) return *node;
  }
  return 0;  // a kernel without nodes
}

template <class Values, class Value>
bool has(const Values& values, const Value& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// "1", "1 and 2", "1, 2 and 3"
std::string listed(const std::vector<int>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    text += (i == 0 ? "" : i + 1 == numbers.size() ? " and " : ", ") + std::to_string(numbers[i]);
  return text;
}

std::string processors_listed(const std::vector<int>& numbers) {
  return (numbers.size() == 1 ? "processor " : "processors ") + listed(numbers);
}

using Cores = std::map<int, std::vector<int>>;  // each with its processors

class Placer {
 public:
  Placer(const Specification& spec, const Topology& topology) : spec_(spec), topology_(topology) {
    for (const Processor& one : topology.processors) {
      by_number_[one.number] = one;
      cores_[one.core].push_back(one.number);
    }
  }

  Placement place() {
    server_ = spec_.server_processors;
    client_ = spec_.client_processors;
    for (const auto* named : {&server_, &client_}) check_named(*named);
    const bool named_both = !server_.empty() && !client_.empty();
    if (by_number_.size() < 2 && !named_both && spec_.server_processor_count <= 1 && spec_.client_processor_count <= 1)
      return alone();
    if (!named_both) choose();
    Placement placement;
    placement.server_processors = server_;
    placement.client_processors = client_;
    placement.harness_processors = named_both ? client_ : for_harness();
    describe(placement);
    return placement;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw UsageError(spec_.name + ": resources: " + what); }

  void check_named(const std::vector<int>& named) const {
    for (const int number : named) {
      if (!by_number_.contains(number)) {
        fail("processor " + std::to_string(number) + " is not there, or not for this process; there are " +
             std::to_string(by_number_.size()));
      }
      if (std::count(named.begin(), named.end(), number) > 1)
        fail("processor " + std::to_string(number) + " is named twice");
    }
  }

  Placement alone() const {
    Placement placement;
    for (const auto& [number, one] : by_number_) placement.occupied.push_back(number);
    placement.note =
        "There is one processor: server, client and harness take it from each other, and nothing is pinned.";
    placement.server_shares_core = placement.client_shares_core = true;
    return placement;
  }

  // The sides that the specification does not name.
  void choose() {
    const bool server_too = server_.empty(), client_too = client_.empty();
    const std::size_t for_server = server_too ? std::max(1u, spec_.server_processor_count) : 0;
    std::size_t for_client = client_too ? std::max(1u, spec_.client_processor_count) : 0;
    std::vector<int> named = server_too ? client_ : server_;
    const std::size_t left = by_number_.size() - named.size();
    if (for_server + for_client > left) {
      fail("server and client need " + std::to_string(for_server + for_client + named.size()) +
           " processors, and there are " + std::to_string(by_number_.size()) +
           "; ask for fewer, or name the processors of both where they may share some");
    }
    std::vector<int> free;
    for (const auto& [core, threads] : cores_) {
      if (std::none_of(threads.begin(), threads.end(), [&](int number) { return has(named, number); }))
        free.push_back(core);
    }
    // As many as the load generator has threads, as far as there are cores for these; one is the harness's.
    if (client_too && spec_.client_processor_count == 0 && free.size() > for_server + 1)
      for_client = std::min<std::size_t>(std::max(1u, spec_.client_threads), free.size() - for_server - 1);
    // The lowest core is the last that is taken.
    if (free.size() > 1) std::rotate(free.begin(), free.begin() + 1, free.end());
    const auto chosen = near_each_other(free, for_server + for_client, named);
    if (chosen) {
      for (std::size_t i = 0; i < chosen->size(); ++i)
        (i < for_server ? server_ : client_).push_back(cores_.at((*chosen)[i]).front());
    } else {
      share_cores(for_server, for_client, named);
    }
    std::sort(server_.begin(), server_.end());
    std::sort(client_.begin(), client_.end());
  }

  // So many of those cores that have as much as possible in common, with each other and with the processors `beside`.
  std::optional<std::vector<int>> near_each_other(const std::vector<int>& cores, std::size_t count,
                                                  const std::vector<int>& beside) const {
    using Place = std::vector<int>;
    const auto machine = [](const Processor&) { return Place{}; };
    const auto package = [](const Processor& one) { return Place{one.package}; };
    const auto node = [](const Processor& one) { return Place{one.package, one.node}; };
    const auto cache = [](const Processor& one) { return Place{one.package, one.node, one.cache}; };
    for (const auto& place_of : std::vector<Place (*)(const Processor&)>{cache, node, package, machine}) {
      std::vector<std::pair<Place, std::vector<int>>> groups;
      for (const int core : cores) {
        const Place place = place_of(by_number_.at(cores_.at(core).front()));
        if (!beside.empty() && place != place_of(by_number_.at(beside.front()))) continue;
        auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& one) { return one.first == place; });
        if (group == groups.end()) group = groups.insert(group, {place, {}});
        group->second.push_back(core);
      }
      // One that can do without the last core is preferred.
      for (const std::size_t spare : {std::size_t{1}, std::size_t{0}}) {
        for (const auto& [place, members] : groups) {
          const std::size_t needed = count + (spare != 0 && has(members, cores.back()) ? 1 : 0);
          if (members.size() >= needed)
            return std::vector<int>(members.begin(), members.begin() + static_cast<std::ptrdiff_t>(count));
        }
      }
    }
    return std::nullopt;
  }

  // There are not enough cores: the sides keep apart as far as whole cores go round.
  void share_cores(std::size_t for_server, std::size_t for_client, const std::vector<int>& named) {
    std::set<int> clients_cores, servers_cores;
    for (const int number : client_) clients_cores.insert(core_of(number));
    for (const int number : server_) servers_cores.insert(core_of(number));
    if (for_server > 0 && for_client > 0) {
      // The last cores, as many as hold the client.
      std::size_t held = 0;
      for (auto core = cores_.rbegin(); core != cores_.rend() && held < for_client; ++core) {
        clients_cores.insert(core->first);
        held += core->second.size();
      }
    }
    take(server_, for_server, clients_cores, named);
    for (const int number : server_) servers_cores.insert(core_of(number));
    take(client_, for_client, servers_cores, named);
  }

  // First one of each core that the other side does not have, then their further threads, then what is left.
  void take(std::vector<int>& side, std::size_t count, const std::set<int>& others_cores,
            const std::vector<int>& named) const {
    std::vector<std::vector<int>> candidates;  // {shared with the others, which thread of its core, number}
    for (const auto& [core, threads] : cores_) {
      int thread = 0;
      for (const int number : threads) {
        if (!has(named, number) && !has(server_, number) && !has(client_, number))
          candidates.push_back({others_cores.contains(core) ? 1 : 0, thread, number});
        ++thread;
      }
    }
    std::sort(candidates.begin(), candidates.end());
    for (std::size_t i = 0; i < count; ++i) side.push_back(candidates.at(i).back());
  }

  std::vector<int> for_harness() const {
    const auto shares = [&](const std::vector<int>& side, const std::vector<int>& threads) {
      return std::any_of(threads.begin(), threads.end(), [&](int number) { return has(side, number); });
    };
    for (const auto& [core, threads] : cores_) {
      if (!shares(server_, threads) && !shares(client_, threads)) return {threads.front()};
    }
    for (const auto& [core, threads] : cores_) {
      if (shares(server_, threads)) continue;
      for (const int number : threads) {
        if (!has(client_, number)) return {number};
      }
    }
    return client_;
  }

  int core_of(int number) const { return by_number_.at(number).core; }
  std::set<int> cores_of(const std::vector<int>& numbers) const {
    std::set<int> cores;
    for (const int number : numbers) cores.insert(core_of(number));
    return cores;
  }

  static bool meet(const std::set<int>& a, const std::set<int>& b) {
    return std::any_of(a.begin(), a.end(), [&](int one) { return b.contains(one); });
  }

  template <class Of>
  bool all_same(Of of) const {
    std::set<int> values;
    for (const auto* side : {&server_, &client_}) {
      for (const int number : *side) values.insert(of(by_number_.at(number)));
    }
    return values.size() == 1 && *values.begin() >= 0;
  }

  void describe(Placement& placement) const {
    const std::vector<int>& harness = placement.harness_processors;
    const std::set<int> servers = cores_of(server_), clients = cores_of(client_), harness_cores = cores_of(harness);
    placement.server_shares_core = meet(servers, clients) || meet(servers, harness_cores);
    placement.client_shares_core = meet(servers, clients) || meet(clients, harness_cores);
    for (const auto& [core, threads] : cores_) {
      if (servers.contains(core) || clients.contains(core) || harness_cores.contains(core))
        placement.occupied.insert(placement.occupied.end(), threads.begin(), threads.end());
    }
    std::sort(placement.occupied.begin(), placement.occupied.end());

    if (spec_.hosts.any()) {
      placement.note = "The server has " + processors_listed(server_) + ", the harness " + processors_listed(harness) +
                       "; the load comes from " + std::to_string(spec_.hosts.clients.size()) +
                       (spec_.hosts.clients.size() == 1 ? " other host." : " other hosts.");
      return;
    }
    std::vector<std::string> shared;
    std::vector<int> both;
    std::set_intersection(server_.begin(), server_.end(), client_.begin(), client_.end(), std::back_inserter(both));
    if (!both.empty()) {
      shared.push_back("server and client share " + processors_listed(both));
    } else if (meet(servers, clients)) {
      shared.push_back("server and client run on hardware threads of one core, which slow each other");
    }
    if (servers.size() < server_.size()) shared.push_back("some of the server's are hardware threads of one core");
    if (clients.size() < client_.size()) shared.push_back("some of the client's are hardware threads of one core");
    if (harness == client_) {
      shared.push_back(std::string("the harness shares the client's") +
                       (spec_.server_processors.empty() || spec_.client_processors.empty()
                            ? ", since there are only " + std::to_string(cores_.size()) +
                                  (topology_.cores_known ? " cores" : " processors")
                            : ""));
    } else if (meet(harness_cores, clients)) {
      shared.push_back("the harness runs on the client's core, on another of its hardware threads");
    }
    if (shared.empty()) shared.push_back("no two of them share a core");
    if (!topology_.cores_known)
      shared.push_back("the kernel does not tell which processors are hardware threads of one core");
    if (all_same([](const Processor& one) { return one.cache; })) {
      shared.push_back("server and client have one last-level cache");
    } else if (!all_same([](const Processor& one) { return one.node; })) {
      shared.push_back("server and client are on different memory nodes");
    } else if (topology_.cores_known && all_same([](const Processor& one) { return one.cache < 0 ? -1 : 0; })) {
      shared.push_back("server and client have no last-level cache in common");
    }
    placement.note = "The server has " + processors_listed(server_) + ", the client " + listed(client_) +
                     (harness == client_ ? "" : ", the harness " + listed(harness)) + ": ";
    for (std::size_t i = 0; i < shared.size(); ++i) placement.note += (i == 0 ? "" : "; ") + shared[i];
    placement.note += ".";
  }

  const Specification& spec_;
  const Topology& topology_;
  std::map<int, Processor> by_number_;
  Cores cores_;
  std::vector<int> server_, client_;
};

}  // namespace

std::vector<int> parse_processor_list(const std::string& text) {
  std::vector<int> numbers;
  std::istringstream pieces(text);
  for (std::string piece; std::getline(pieces, piece, ',');) {
    const std::size_t dash = piece.find('-');
    const auto first = number_of(piece.substr(0, dash));
    const auto last = dash == std::string::npos ? first : number_of(piece.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last >= most_processors) return {};
    for (int number = *first; number <= *last; ++number) numbers.push_back(number);
  }
  return numbers;
}

Topology read_topology(const std::vector<int>& processors, const fs::path& root) {
  Topology topology;
  for (const int number : processors) {
    const fs::path processor = root / ("cpu" + std::to_string(number));
    Processor one;
    one.number = number;
    auto core = lowest_in(processor / "topology" / "thread_siblings_list", number);
    if (!core) core = lowest_in(processor / "topology" / "core_cpus_list", number);
    topology.cores_known = topology.cores_known && core.has_value();
    one.core = core.value_or(number);
    one.cache = last_level_cache(processor, number);
    one.node = memory_node(processor);
    one.package = std::max(0, number_in(processor / "topology" / "physical_package_id").value_or(0));
    topology.processors.push_back(one);
  }
  return topology;
}

nlohmann::json to_json(const Topology& topology) {
  std::set<int> cores, caches, nodes, packages;
  for (const Processor& one : topology.processors) {
    cores.insert(one.core);
    caches.insert(one.cache);
    nodes.insert(one.node);
    packages.insert(one.package);
  }
  const auto known = [](bool is_known, const std::set<int>& values) {
    return is_known ? nlohmann::json(values.size()) : nlohmann::json(nullptr);
  };
  return {{"processors", topology.processors.size()},
          {"cores", known(topology.cores_known, cores)},
          {"last_level_caches", known(!caches.contains(-1), caches)},
          {"nodes", nodes.size()},
          {"packages", known(topology.cores_known, packages)}};
}

Placement place(const Specification& spec, const Topology& topology) { return Placer(spec, topology).place(); }

Placement place(const Specification& spec) { return place(spec, read_topology(usable_processors())); }

}  // namespace bakeoff
