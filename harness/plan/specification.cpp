#include "harness/plan/specification.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "harness/plan/preset.h"
#include "results/sha256.h"
#include "core/toml/strict_toml.h"

namespace bakeoff {
namespace {

constexpr std::int64_t most_connections = 100'000'000;
constexpr std::int64_t most_workers = 65'536;

std::vector<std::uint32_t> connection_counts(const TomlTable& table, std::vector<std::uint32_t> fallback) {
  if (!table.has("connections")) return fallback;
  std::vector<std::uint32_t> counts;
  for (const std::int64_t count : table.integers("connections", {1, most_connections})) counts.push_back(static_cast<std::uint32_t>(count));
  return counts;
}

std::vector<double> rates_of(const TomlTable& table, std::vector<double> fallback) { return table.numbers("rates", {0.001, 1e9}, std::move(fallback)); }

std::vector<std::string> worker_counts(const TomlTable& table, std::vector<std::string> fallback) {
  if (!table.has("workers")) return fallback;
  const std::vector<std::string> counts = table.texts("workers");
  for (const std::string& count : counts) {
    if (count == "connections") continue;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), number);
    if (error != std::errc{} || end != count.data() + count.size() || number < 1 || number > most_workers) {
      table.fail("workers", "expected numbers from 1 to " + std::to_string(most_workers) + " or \"connections\" (one a connection), got " + count);
    }
  }
  return counts;
}

void put(OptionAxes& options, const std::string& key, std::vector<std::string> values) {
  const auto found = std::find_if(options.begin(), options.end(), [&](const auto& option) { return option.first == key; });
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
      table.fail(key, key == "workers" ? "give `workers` beside the options, not among them" : "the harness chooses it");
    }
    put(options, key, table.texts(key));
  }
}

// What [load] says and a server's own table may say otherwise.
struct CommonLoad {
  std::string model;
  std::vector<std::uint32_t> connections;
  std::vector<double> rates;
};

std::vector<ServerSpec> read_servers(const TomlTable& table, const OptionAxes& common, const CommonLoad& load) {
  const bool by_preset = table.has("preset");
  const bool outside = table.has("outside");
  if (by_preset + outside + table.has("architecture") > 1) table.fail(by_preset ? "preset" : "outside", "give one of architecture, preset and outside");
  const std::vector<std::string> names = table.strings(by_preset ? "preset" : outside ? "outside" : "architecture");
  if (table.has("name") && names.size() > 1) table.fail("name", "one name for " + std::to_string(names.size()) + " servers; give each its own [[server]]");
  std::vector<ServerSpec> servers;
  for (const std::string& name : names) {
    ServerSpec server;
    server.where = table.where();
    server.options = common;
    server.architecture = name;
    server.outside = outside;
    if (by_preset) {
      const auto preset = find_preset(name);
      if (!preset) {
        std::vector<std::string> known;
        for (const Preset& one : list_presets()) known.push_back(one.name);
        const std::string near = nearest_word(name, known);
        table.fail("preset", "there is no preset `" + name + "`" + (near.empty() ? "; see bakeoff list presets" : "; did you mean `" + near + "`?"));
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
    if (server.name.empty() || server.name.find_first_of("/= \t\n") != std::string::npos) table.fail("name", "expected a word without / and =, since it begins cell ids");
    server.workers = worker_counts(table, server.workers.empty() ? std::vector<std::string>{"1"} : server.workers);
    server.connections = connection_counts(table, load.connections);
    server.rates = rates_of(table, load.rates);
    if (load.model == "closed" && !server.rates.empty()) table.fail("rates", "a closed loop has no rate; say model = \"open\" or \"partly-open\" in [load]");
    if (load.model == "open" && server.rates.empty()) table.fail("rates", "expected here or in [load]: requests a second");
    if (server.connections.empty()) table.fail("connections", "expected here or in [load]: how many connections the clients open");
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
    for (const std::string& key : workload->keys()) put(filter.workload, key, workload->texts(key));
  }
  return filter;
}

std::vector<int> processors(const TomlTable& table, const char* key) {
  std::vector<int> numbers;
  for (const std::int64_t number : table.integers(key, {0, 1023}, {})) numbers.push_back(static_cast<int>(number));
  return numbers;
}

DiskSpec read_disk(const TomlTable& table) {
  constexpr std::int64_t most_bytes = std::int64_t{1} << 50;
  DiskSpec disk;
  disk.model = table.string("model", "");
  if (const auto overrides = table.table("set")) {
    for (const std::string& key : overrides->keys()) disk.model_overrides.push_back(key + "=" + overrides->text(key));
  }
  disk.cache_bytes = static_cast<std::uint64_t>(table.bytes("cache", {0, most_bytes}, 0));
  disk.memory_bytes = static_cast<std::uint64_t>(table.bytes("memory", {0, most_bytes}, 0));
  disk.reads_per_s = static_cast<std::uint64_t>(table.integer("reads_per_s", {0, 1'000'000'000}, 0));
  disk.read_bytes_per_s = static_cast<std::uint64_t>(table.bytes("read_bytes_per_s", {0, most_bytes}, 0));
  const bool throttled = disk.reads_per_s > 0 || disk.read_bytes_per_s > 0;
  if (disk.model.empty()) {
    for (const char* key : {"set", "cache"}) {
      if (table.has(key)) table.fail(key, "it is of a slow disk; give its `model` too (scsi10k, ssd, constant, or a TOML file)");
    }
    if (disk.memory_bytes == 0 && !throttled) table.fail("model", "expected it, or `memory`, `reads_per_s` or `read_bytes_per_s` for the machine's own disk");
  } else if (throttled) {
    table.fail(disk.reads_per_s > 0 ? "reads_per_s" : "read_bytes_per_s", "it is of the machine's own disk; a slow disk's rate is in its `set`");
  }
  return disk;
}

Specification read(TomlDocument document, std::string name, const std::string& scale) {
  Specification spec;
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
  spec.workload = workload->string("name");
  if (const auto overrides = workload->table("set")) {
    for (const std::string& key : overrides->keys()) {
      if (overrides->is_list(key)) {
        put(spec.workload_axes, key, overrides->texts(key));
      } else {
        spec.workload_overrides.push_back(key + "=" + overrides->text(key));
      }
    }
  }

  CommonLoad common_load;
  if (const auto load = root.table("load")) {
    common_load.connections = connection_counts(*load, {});
    common_load.rates = rates_of(*load, {});
    spec.load_model = load->one_of("model", {"closed", "open", "partly-open"}, common_load.rates.empty() ? "closed" : "open");
    spec.warmup_s = load->duration_s("warmup", {0, 3600}, spec.warmup_s);
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
    spec.ceiling_s = trials->duration_s("ceiling", {0, 60}, spec.ceiling_s);
    spec.ceiling_difference = trials->number("ceiling_difference", {0, 10}, spec.ceiling_difference);
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
    spec.peak_trials = static_cast<std::uint32_t>(peak->integer("trials", {1, 1000}, spec.peak_trials));
  }
  if (const auto resources = root.table("resources")) {
    spec.server_processors = processors(*resources, "server_processors");
    spec.client_processors = processors(*resources, "client_processors");
  }
  common_load.model = spec.load_model;
  if (const auto disk = root.table("disk")) spec.disk = read_disk(*disk);
  OptionAxes common;
  if (const auto options = root.table("options")) read_options(*options, common);

  const std::vector<TomlTable> servers = root.tables("server");
  if (servers.empty()) root.fail("server", "expected at least one table [[server]]");
  std::set<std::string> names;
  for (const TomlTable& table : servers) {
    for (ServerSpec& server : read_servers(table, common, common_load)) {
      if (!names.insert(server.name).second) table.fail("name", "there are two servers called `" + server.name + "`; give one another name");
      spec.servers.push_back(std::move(server));
    }
  }
  for (const TomlTable& table : root.tables("exclude")) spec.exclude.push_back(read_filter(table, spec.servers));
  for (const TomlTable& table : root.tables("include")) {
    spec.include.push_back(read_filter(table, spec.servers));
    if (spec.load_model == "closed" && !spec.include.back().rates.empty()) table.fail("rates", "a closed loop has no rate");
    if (spec.include.back().connections.empty()) table.fail("connections", "expected the connections of the cells to add");
  }
  document.finish();
  return spec;
}

}  // namespace

std::filesystem::path experiments_dir() { return data_dir() / "harness" / "experiments"; }

Specification load_specification(const std::string& name_or_path, const std::string& scale) {
  const bool is_path = name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".toml");
  const std::filesystem::path file = is_path ? std::filesystem::path(name_or_path) : experiments_dir() / (name_or_path + ".toml");
  if (!is_path && !std::filesystem::exists(file)) {
    std::vector<std::string> known;
    std::string all;
    for (const ExperimentInfo& one : list_experiments()) {
      known.push_back(one.name);
      all += (all.empty() ? "" : ", ") + one.name;
    }
    const std::string near = nearest_word(name_or_path, known);
    throw UsageError("there is no experiment `" + name_or_path + "`; " + (near.empty() ? "shipped ones: " + all + ", or give a path" : "did you mean `" + near + "`?"));
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
