#include "harness/plan/specification.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/base/check.h"
#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/toml/strict_toml.h"
#include "harness/plan/architectures.h"
#include "harness/plan/outside.h"
#include "harness/plan/preset.h"
#include "results/sha256.h"
#include "workloads/workload.h"

namespace bakeoff {
namespace {

constexpr std::int64_t most_connections = 100'000'000;
constexpr std::int64_t most_workers = 65'536;
constexpr double longest_warmups =
    4;  // how many times the least warm-up the longest is, unless the specification says so

std::vector<std::uint32_t> connection_counts(const TomlTable& table, std::vector<std::uint32_t> fallback) {
  if (!table.has("connections")) return fallback;
  std::vector<std::uint32_t> counts;
  for (const std::int64_t count : table.integers("connections", {1, most_connections}))
    counts.push_back(static_cast<std::uint32_t>(count));
  return counts;
}

std::vector<double> rates_of(const TomlTable& table, std::vector<double> fallback) {
  return table.numbers("rates", {0.001, 1e9}, std::move(fallback));
}

std::vector<std::string> worker_counts(const TomlTable& table, std::vector<std::string> fallback) {
  if (!table.has("workers")) return fallback;
  const std::vector<std::string> counts = table.texts("workers");
  for (const std::string& count : counts) {
    if (count == "connections") continue;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), number);
    if (error != std::errc{} || end != count.data() + count.size() || number < 1 || number > most_workers) {
      table.fail("workers", "expected numbers from 1 to " + std::to_string(most_workers) +
                                " or \"connections\" (one a connection), got " + count);
    }
  }
  return counts;
}

void put(OptionAxes& options, const std::string& key, std::vector<std::string> values) {
  const auto found =
      std::find_if(options.begin(), options.end(), [&](const auto& option) { return option.first == key; });
  if (found == options.end()) {
    options.emplace_back(key, std::move(values));
  } else {
    found->second = std::move(values);
  }
}

void read_options(const TomlTable& table, OptionAxes& options) {
  for (const std::string& key : table.keys()) {
    // The harness gives these itself; an option that undid its doing would spoil the run silently.
    if (key == "root" || key == "port" || key == "address" || key == "workers") {
      table.fail(key,
                 key == "workers" ? "give `workers` beside the options, not among them" : "the harness chooses it");
    }
    put(options, key, table.texts(key));
  }
}

// [options] are for every server of ours. An outside server gets those of them that its file knows, and congestion
// control, which the harness sets for it: its cells say what it was given.
OptionAxes options_of_outside(const std::string& definition, const OptionAxes& common, const TomlTable& table) {
  try {
    const OutsideServer server = load_outside(definition);
    OptionAxes known;
    std::copy_if(common.begin(), common.end(), std::back_inserter(known), [&](const auto& option) {
      return option.first == congestion_option || server.options.contains(option.first);
    });
    return known;
  } catch (const UsageError& error) {
    table.fail("outside", error.what());
  }
}

// What [load] says and a server's own table may say otherwise.
struct CommonLoad {
  std::string model;
  std::vector<std::uint32_t> connections;
  std::vector<double> rates;
};

std::string workers_of(const std::string& architecture) {
  for (const ArchitectureEntry& one : architecture_entries()) {
    if (one.name == architecture) return one.workers;
  }
  return "1";
}

TraceScene read_scene(const TomlTable& table, const std::optional<DiskSpec>& disk,
                      const std::vector<std::uint32_t>& connections) {
  TraceScene scene;
  scene.requests = static_cast<std::uint32_t>(table.integer("requests", {2, 10'000}, scene.requests));
  scene.think_s = table.duration_s("think", {0, 10}, scene.think_s);
  const auto clients = static_cast<std::int64_t>(*std::min_element(connections.begin(), connections.end()));
  for (const std::int64_t client : table.integers("not_in_memory", {1, clients}, {}))
    scene.absentees.push_back(static_cast<std::uint32_t>(client));
  if (!scene.absentees.empty() && (!disk || disk->model.empty() || disk->cache_bytes == 0))
    table.fail("not_in_memory", "needs a [disk] with a model and a cache that does not hold all files");
  return scene;
}

// `others`: the architectures that other tables name; "all" are those that none does.
std::vector<ServerSpec> read_servers(const TomlTable& table, const OptionAxes& common, const CommonLoad& load,
                                     const std::set<std::string>& others, InputFinder& finder) {
  const bool by_preset = table.has("preset");
  const bool outside = table.has("outside");
  if (by_preset + outside + table.has("architecture") > 1)
    table.fail(by_preset ? "preset" : "outside", "give one of architecture, preset and outside");
  std::vector<std::string> names = table.strings(by_preset ? "preset" : outside ? "outside" : "architecture");
  const bool all = !by_preset && !outside && names == std::vector<std::string>{"all"};
  if (all) {
    names.clear();
    for (const ArchitectureEntry& one : architecture_entries()) {
      if (!others.contains(one.name)) names.push_back(one.name);
    }
  }
  if (table.has("name") && names.size() > 1)
    table.fail("name", "one name for " + std::to_string(names.size()) + " servers; give each its own [[server]]");
  std::vector<ServerSpec> servers;
  for (const std::string& written : names) {
    const std::string name = is_path(written) ? std::filesystem::path(written).stem().string() : written;
    ServerSpec server;
    server.where = table.where();
    if (outside) server.definition = finder.find(table, "outside", "outside", written, outside_dir());
    server.options = outside ? options_of_outside(server.definition, common, table) : common;
    server.architecture = outside ? name : written;
    server.outside = outside;
    if (by_preset) {
      const auto preset = find_preset(finder.find(table, "preset", "preset", written, presets_dir()));
      if (!preset) {
        std::vector<std::string> known;
        for (const Preset& one : list_presets()) known.push_back(one.name);
        const std::string near = nearest_word(name, known);
        table.fail("preset", "there is no preset `" + name + "`" +
                                 (near.empty() ? "; see bakeoff list presets" : "; did you mean `" + near + "`?"));
      }
      server.architecture = preset->architecture;
      for (const auto& [key, value] : preset->options) {
        if (key == "workers") {
          server.workers = {value};
        } else {
          put(server.options, key, {value});
        }
      }
    }
    server.name = table.string("name", name);
    if (server.name.empty() || server.name.find_first_of("/= \t\n") != std::string::npos ||
        server.name.starts_with('.') || visible(server.name) != server.name)
      table.fail(
          "name",
          "expected a printable word without / and = that does not begin with a dot: it begins cell ids, and is a "
          "directory's name");
    if (server.workers.empty()) server.workers = {all ? workers_of(name) : "1"};
    server.workers = worker_counts(table, server.workers);
    server.connections = connection_counts(table, load.connections);
    server.rates = rates_of(table, load.rates);
    if (load.model == "closed" && !server.rates.empty())
      table.fail("rates", "a closed loop has no rate; say model = \"open\" or \"partly-open\" in [load]");
    if (load.model == "open" && server.rates.empty())
      table.fail("rates", "expected here or in [load]: requests per second");
    if (server.connections.empty())
      table.fail("connections", "expected here or in [load]: how many connections the clients open");
    if (const auto options = table.table("options")) read_options(*options, server.options);
    servers.push_back(std::move(server));
  }
  return servers;
}

CellFilter read_filter(const TomlTable& table, const std::vector<ServerSpec>& servers) {
  CellFilter filter;
  filter.servers = table.strings("server", {});
  for (const std::string& name : filter.servers) {
    if (std::none_of(servers.begin(), servers.end(), [&](const ServerSpec& server) { return server.name == name; })) {
      table.fail("server", "there is no server `" + name + "` in this specification");
    }
  }
  filter.connections = connection_counts(table, {});
  filter.workers = worker_counts(table, {});
  filter.rates = rates_of(table, {});
  if (const auto options = table.table("options")) read_options(*options, filter.options);
  if (const auto workload = table.table("set")) {
    for (const std::string& key : workload->keys()) put(filter.workload, key, workload->assigned_list(key));
  }
  return filter;
}

// A list names processors; a number says how many are to be chosen.
void read_processors(const TomlTable& table, const char* key, std::vector<int>& numbers, std::uint32_t& count) {
  if (!table.has(key)) return;
  if (!table.is_list(key)) {
    count = static_cast<std::uint32_t>(table.integer(key, {1, 1024}));
    return;
  }
  for (const std::int64_t number : table.integers(key, {0, 1023})) numbers.push_back(static_cast<int>(number));
}

DiskSpec read_disk(const TomlTable& table, InputFinder& finder) {
  constexpr std::int64_t most_bytes = std::int64_t{1} << 50;
  DiskSpec disk;
  disk.model = table.string("model", "");
  if (!disk.model.empty())
    disk.model = finder.find(table, "model", "disk", disk.model, data_dir() / "harness" / "slowdisk");
  if (const auto overrides = table.table("set")) {
    for (const std::string& key : overrides->keys())
      disk.model_overrides.push_back(key + "=" + overrides->assigned(key));
  }
  disk.cache_bytes = static_cast<std::uint64_t>(table.bytes("cache", {0, most_bytes}, 0));
  disk.memory_bytes = static_cast<std::uint64_t>(table.bytes("memory", {0, most_bytes}, 0));
  disk.reads_per_s = static_cast<std::uint64_t>(table.integer("reads_per_s", {0, 1'000'000'000}, 0));
  disk.read_bytes_per_s = static_cast<std::uint64_t>(table.bytes("read_bytes_per_s", {0, most_bytes}, 0));
  const bool throttled = disk.reads_per_s > 0 || disk.read_bytes_per_s > 0;
  if (disk.model.empty()) {
    for (const char* key : {"set", "cache"}) {
      if (table.has(key))
        table.fail(key, "it applies to a slow disk; give its `model` too (scsi10k, ssd, constant, or a TOML file)");
    }
    if (disk.memory_bytes == 0 && !throttled)
      table.fail("model", "expected it, or `memory`, `reads_per_s` or `read_bytes_per_s` for the machine's own disk");
  } else if (throttled) {
    table.fail(disk.reads_per_s > 0 ? "reads_per_s" : "read_bytes_per_s",
               "it applies to the machine's own disk; a slow disk's rate is in its `set`");
  }
  return disk;
}

NetworkSpec read_network(const TomlTable& table) {
  NetworkSpec network;
  if (table.has("own")) network.own = table.boolean("own");
  // What IPv4 needs at least, and the loopback interface's own default.
  if (table.has("mtu")) network.mtu = static_cast<std::uint32_t>(table.integer("mtu", {68, 65536}));
  network.offloads = table.boolean("offloads", true);
  for (const char* key : {"mtu", "offloads"}) {
    if (table.has(key) && network.own == false)
      table.fail(key, "it applies to a network of the run's own; leave it out, or leave out own = false");
  }
  return network;
}

std::string rank_by_expected() {
  std::string known;
  for (const MetricName& one : metric_table) {
    if (one.better != Better::neither) known += (known.empty() ? "" : ", ") + path_of(one);
  }
  return "expected one of " + known;
}

// Whether the workload's own file says so.
bool keeps_log_times(const std::string& workload) {
  const std::filesystem::path file = is_path(workload) ? workload : (workloads_dir() / (workload + ".toml")).string();
  return std::filesystem::exists(file) && TomlDocument::load(file).root().boolean("timing", false);
}

// [workload] with what it sets.
void read_workload(const TomlTable& table, Specification& spec, InputFinder& finder) {
  spec.workload = finder.find(table, "name", "workload", table.string("name"), workloads_dir());
  const auto overrides = table.table("set");
  spec.keeps_log_times = keeps_log_times(spec.workload);
  if (overrides && overrides->has("timing")) {
    const std::vector<std::string> values = overrides->assigned_list("timing");
    spec.keeps_log_times = std::find(values.begin(), values.end(), "true") != values.end();
  }
  if (!overrides) return;
  for (const std::string& key : overrides->keys()) {
    const std::vector<std::string> values = overrides->assigned_list(key);
    if (is_path_key(key)) {
      for (const std::string& value : values) finder.find(*overrides, key, key, value, {});
    }
    if (overrides->is_list(key)) put(spec.workload_axes, key, values);
  }
  spec.inputs = finder.take();
  for (const std::string& key : overrides->keys()) {
    if (!overrides->is_list(key))
      spec.workload_overrides.push_back(workload_override(spec, key, overrides->assigned(key)));
  }
}

constexpr double least_turn_s = 0.005;

// Why servers cannot take turns; empty: they can.
std::string obstacle_to_turns(const Specification& spec, bool by_schedule) {
  if (by_schedule) return "a schedule cannot stand still between turns; leave out `turn` where there are rates";
  if (spec.disk) return "a disk's cache holds what one server read; leave out `turn` with [disk]";
  if (spec.hosts.any()) return "client hosts cannot take turns; leave out `turn` with client hosts";
  if (spec.page_cache == PageCache::cold)
    return "files stay in memory from turn to turn; leave out `turn` where page_cache is cold";
  return {};
}

Specification read(TomlDocument document, std::string name, const std::string& scale) {
  Specification spec;
  InputFinder finder(document.name());
  spec.file = document.name();
  spec.scale = scale;
  spec.scales = document.choose("scale", scale);
  const TomlTable root = document.root();
  spec.name = std::move(name);
  spec.source_text = document.source_text();
  spec.sha256 = sha256(spec.source_text + scale);
  spec.title = root.string("title", spec.name);
  spec.about = root.string("about", "");
  spec.reference = root.string("reference", "");

  const auto workload = root.table("workload");
  if (!workload) root.fail("workload", "expected a table [workload] with the name of one");
  read_workload(*workload, spec, finder);

  CommonLoad common_load;
  if (const auto load = root.table("load")) {
    common_load.connections = connection_counts(*load, {});
    common_load.rates = rates_of(*load, {});
    spec.load_model =
        load->one_of("model", {"closed", "open", "partly-open"}, common_load.rates.empty() ? "closed" : "open");
    spec.warmup_s = load->duration_s("warmup", {0, 3600}, spec.warmup_s);
    spec.longest_warmup_s = load->duration_s("longest_warmup", {spec.warmup_s, 3600}, longest_warmups * spec.warmup_s);
    spec.duration_s = load->duration_s("duration", {0.05, 86400}, spec.duration_s);
    spec.timeout_s = load->duration_s("timeout", {0.01, 3600}, spec.timeout_s);
    spec.client_threads = static_cast<std::uint32_t>(load->integer("threads", {1, 1024}, spec.client_threads));
    spec.discard_bodies = load->boolean("discard", spec.discard_bodies);
  }
  if (const auto trials = root.table("trials")) {
    spec.sweep_trials = static_cast<std::uint32_t>(trials->integer("sweep", {1, 10000}, spec.sweep_trials));
    spec.final_trials = static_cast<std::uint32_t>(trials->integer("final", {0, 10000}, spec.final_trials));
    spec.seed = static_cast<std::uint64_t>(trials->integer("seed", {}, 1));
    spec.repeats = static_cast<std::uint32_t>(trials->integer("repeats", {0, 100}, spec.repeats));
    spec.repeat_share = trials->number("repeat_share", {0, 10}, spec.repeat_share);
    spec.turn_s = trials->duration_s("turn", {0, 10}, spec.turn_s);
    if (spec.turn_s > 0 && spec.turn_s < least_turn_s)
      trials->fail("turn", "a turn is at least 5 ms long: its requests must come to their end in it");
    spec.ceiling_s = trials->duration_s("ceiling", {0, 60}, spec.ceiling_s);
    spec.ceiling_difference = trials->number("ceiling_difference", {0, 10}, spec.ceiling_difference);
    spec.others = trials->number("others", {0, 1000}, spec.others);
    spec.drift = trials->number("drift", {0, 10}, spec.drift);
    spec.profile = trials->boolean("profile", spec.profile);
    if (trials->has("page_cache")) {
      const std::string wanted = trials->one_of("page_cache", {"warm", "cold", "as-is"});
      spec.page_cache = wanted == "warm" ? PageCache::warm : wanted == "cold" ? PageCache::cold : PageCache::as_is;
    }
  }
  if (const auto limits = root.table("validity")) {
    ValidityLimits& validity = spec.validity;
    validity.timeouts = limits->number("timeouts", {0, 1}, validity.timeouts);
    validity.file_size = limits->number("file_size", {0, 1}, validity.file_size);
    validity.starved = limits->number("starved", {0, 1}, validity.starved);
    validity.offered = limits->number("offered", {0, 1}, validity.offered);
    validity.little = limits->number("little", {0, 1}, validity.little);
    validity.client_busy = limits->number("client_busy", {0, 1}, validity.client_busy);
    validity.server_busy = limits->number("server_busy", {0, 1}, validity.server_busy);
    validity.failures = limits->number("failures", {0, 1}, validity.failures);
  }
  if (root.has("rank_by")) {
    for (const std::string& figure : root.strings("rank_by")) {
      const MetricName* const metric = find_metric(figure);
      if (metric == nullptr || metric->better == Better::neither) root.fail("rank_by", rank_by_expected());
      if (!spec.rank_by) {
        spec.rank_by = metric->metric;
      } else {
        spec.also_rank_by.push_back(metric->metric);
      }
    }
  }
  if (const auto slo = root.table("slo")) {
    for (const MetricName& metric : metric_table) {
      if (std::string_view(metric.group) != "latency_ms" || !slo->has(metric.name)) continue;
      spec.slo.emplace_back(metric.metric, slo->duration_s(metric.name, {0, 3600}) * 1e3);
    }
  }
  if (const auto peak = root.table("peak")) {
    spec.peak.start = peak->number("start", {1, 1e7}, spec.peak.start);
    spec.peak.most = peak->number("most", {spec.peak.start, 1e7}, spec.peak.most);
    spec.peak.tolerance = peak->number("tolerance", {0.005, 1}, spec.peak.tolerance);
    spec.peak.answers = static_cast<std::uint32_t>(peak->integer("answers", {1, 10'000}, spec.peak.answers));
  }
  if (const auto resources = root.table("resources")) {
    read_processors(*resources, "server_processors", spec.server_processors, spec.server_processor_count);
    read_processors(*resources, "client_processors", spec.client_processors, spec.client_processor_count);
    spec.hosts = read_hosts(*resources, finder);
  }
  common_load.model = spec.load_model;
  if (const auto disk = root.table("disk")) spec.disk = read_disk(*disk, finder);
  if (const auto scene = root.table("trace")) spec.scene = read_scene(*scene, spec.disk, common_load.connections);
  if (const auto network = root.table("network")) {
    spec.network = read_network(*network);
    if (spec.hosts.any() && (spec.network.own == true || spec.network.mtu || !spec.network.offloads))
      network->fail("own", "client hosts do not reach a network of the run's own; leave out [network]");
  }
  if (spec.hosts.any()) spec.network.own = false;
  if (spec.turn_s > 0) {
    const bool by_schedule = spec.load_model != "closed" || !common_load.rates.empty() || spec.keeps_log_times;
    const std::string obstacle = obstacle_to_turns(spec, by_schedule);
    if (!obstacle.empty()) root.table("trials")->fail("turn", obstacle);
  }
  OptionAxes common;
  if (const auto options = root.table("options")) read_options(*options, common);

  const std::vector<TomlTable> servers = root.tables("server");
  if (servers.empty()) root.fail("server", "expected at least one table [[server]]");
  std::set<std::string> names, architectures;
  for (const TomlTable& table : servers) {
    for (const std::string& one : table.strings("architecture", {})) architectures.insert(one);
  }
  for (const TomlTable& table : servers) {
    for (ServerSpec& server : read_servers(table, common, common_load, architectures, finder)) {
      if (!names.insert(server.name).second)
        table.fail("name", "there are two servers called `" + server.name + "`; give one another name");
      spec.servers.push_back(std::move(server));
    }
  }
  for (const TomlTable& table : root.tables("exclude")) spec.exclude.push_back(read_filter(table, spec.servers));
  for (const TomlTable& table : root.tables("include")) {
    spec.include.push_back(read_filter(table, spec.servers));
    if (spec.load_model == "closed" && !spec.include.back().rates.empty())
      table.fail("rates", "a closed loop has no rate");
    if (spec.include.back().connections.empty())
      table.fail("connections", "expected the connections of the cells to add");
  }
  document.finish();
  for (Input& input : finder.take()) spec.inputs.push_back(std::move(input));
  return spec;
}

}  // namespace

const ServerSpec& Specification::server(const std::string& its_name) const {
  const auto found =
      std::find_if(servers.begin(), servers.end(), [&](const ServerSpec& one) { return one.name == its_name; });
  BAKEOFF_CHECK(found != servers.end());
  return *found;
}

std::string workload_name(const Specification& spec) {
  return is_path(spec.workload) ? std::filesystem::path(spec.workload).stem().string() : spec.workload;
}

std::string workload_override(const Specification& spec, const std::string& key, const std::string& value) {
  if (is_path_key(key)) {
    for (const Input& input : spec.inputs) {
      if (input.kind == key && input.written == value) return key + "=" + input.file.string();
    }
  }
  return key + "=" + value;
}

const char* to_string(PageCache state) {
  switch (state) {
    case PageCache::warm: return "warm";
    case PageCache::cold: return "cold";
    case PageCache::as_is: return "as-is";
  }
  return "?";
}

Metric ranking_metric(const Specification& spec) {
  if (spec.rank_by) return *spec.rank_by;
  const bool fixed_rates = std::any_of(spec.servers.begin(), spec.servers.end(),
                                       [](const ServerSpec& server) { return !server.rates.empty(); });
  if (fixed_rates || spec.keeps_log_times) return Metric::server_cpu_us_per_reply;
  return spec.ceiling_s > 0 ? Metric::relative_to_ceiling : Metric::throughput_mbps;
}

std::filesystem::path experiments_dir() { return data_dir() / "harness" / "experiments"; }

Specification load_specification(const std::string& name_or_path, const std::string& scale) {
  const std::filesystem::path file =
      is_path(name_or_path) ? std::filesystem::path(name_or_path) : experiments_dir() / (name_or_path + ".toml");
  if (!is_path(name_or_path) && !std::filesystem::exists(file)) {
    std::vector<std::string> known;
    std::string all;
    for (const ExperimentInfo& one : list_experiments()) {
      known.push_back(one.name);
      all += (all.empty() ? "" : ", ") + one.name;
    }
    const std::string near = nearest_word(name_or_path, known);
    throw UsageError("there is no experiment `" + name_or_path + "`; " +
                     (near.empty() ? "shipped ones: " + all + ", or give a path" : "did you mean `" + near + "`?"));
  }
  return read(TomlDocument::load(file), file.stem().string(), scale);
}

Specification parse_specification(const std::string& text, const std::string& file_name, const std::string& scale) {
  return read(TomlDocument::parse(text, file_name), std::filesystem::path(file_name).stem().string(), scale);
}

std::vector<ExperimentInfo> list_experiments() {
  std::vector<ExperimentInfo> experiments;
  if (!std::filesystem::is_directory(experiments_dir())) return experiments;
  for (const auto& entry : std::filesystem::directory_iterator(experiments_dir())) {
    if (entry.path().extension() != ".toml") continue;
    experiments.push_back({entry.path().stem().string(), TomlDocument::load(entry.path()).root().string("title", "")});
  }
  std::sort(experiments.begin(), experiments.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return experiments;
}

}  // namespace bakeoff
