#include "harness/run/trial_runner.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/base/errors.h"
#include "core/stats_region.h"
#include "harness/machine/evidence.h"
#include "results/histogram.h"
#include "harness/plan/outside.h"
#include "harness/ground/page_cache.h"
#include "harness/plan/plan.h"
#include "harness/machine/process_probe.h"
#include "harness/machine/profile.h"
#include "harness/run/verifier.h"

namespace bakeoff {
namespace {

using nlohmann::json;

constexpr std::uint32_t ceiling_connections = 64;
constexpr double ceiling_warmup_s = 0.05;
constexpr double ceiling_fresh_s = 1;  // how long a reading stands for the minute it was taken in
constexpr std::uint64_t largest_ceiling_body = 1 << 20;
// The part of the measured time that the server's use is taken over: well inside of it on both sides, since the load
// generator's clock starts a little later than it was asked to, when its connections are open.
constexpr double sample_from = 0.3;
constexpr double sample_to = 0.9;
// Into so many spans the measured time is cut to see whether throughput has settled.
constexpr int spans = 10;
constexpr int first_sample_span = 3, second_sample_span = 9;  // sample_from and sample_to
constexpr double longest_time_wait_s = 65;                    // the kernel forgets a connection after 60 s
constexpr std::uint32_t profiled_trials = 3;  // of a cell in each phase: a breakdown hardly differs between trials, and takes long
constexpr double least_profile_s = 1;
constexpr double profile_margin_s = 0.3;  // until connections are open
constexpr double longest_perf_s = 120;    // for perf to attach and detach, which on a busy machine takes its time

std::string seconds(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3fs", value);
  return text;
}

std::string url(std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port) + "/"; }

std::optional<double> optional_number(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const std::size_t before = text.rfind('\n');
  return before == std::string::npos ? text : text.substr(before + 1);
}

double elapsed_s(SteadyTime from, SteadyTime to) { return std::chrono::duration<double>(to - from).count(); }

struct Sample {
  GroupUse server;
  std::optional<std::uint64_t> user_switches;  // empty: the server is none of ours
  std::optional<ProcessorTimes> processors;
  SideUse server_side, client_side;
};

// What a server of ours counts itself; empty: it is none.
std::optional<std::uint64_t> user_switches(pid_t server) {
  try {
    std::uint64_t sum = 0;
    const StatsRegion region = StatsRegion::of_process(server);
    for (const WorkerStats& worker : region.used()) sum += worker.user_switches.get();
    return sum;
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

// The share of a processor's time that the server's processors were busy; empty: could not be had.
std::optional<double> note_use(const Sample& from, const Sample& to, Figures& figures, json& evidence) {
  const double wall_s = elapsed_s(from.server.at, to.server.at);
  const double cpu_s = static_cast<double>(to.server.total.cpu_ns - from.server.total.cpu_ns) * 1e-9;
  const auto switches = [](const Sample& sample) {
    return static_cast<double>(sample.server.total.voluntary_switches + sample.server.total.involuntary_switches);
  };
  evidence["cpu_s_per_s"] = cpu_s / wall_s;
  evidence["sampled_s"] = wall_s;
  evidence["processes"] = to.server.processes;
  evidence["tasks"] = to.server.tasks;
  evidence["voluntary_switches_per_s"] = static_cast<double>(to.server.total.voluntary_switches - from.server.total.voluntary_switches) / wall_s;
  if (const auto& replies = figures[Metric::replies_per_s]; replies && *replies > 0) {
    figures[Metric::server_cpu_us_per_reply] = cpu_s / wall_s / *replies * 1e6;
  }
  figures[Metric::context_switches_per_s] = (switches(to) - switches(from)) / wall_s;
  if (from.user_switches && to.user_switches) {
    figures[Metric::user_switches_per_s] = static_cast<double>(*to.user_switches - *from.user_switches) / wall_s;
  }
  if (from.server_side.disk_wait_s && to.server_side.disk_wait_s) {
    figures[Metric::disk_waiting_tasks] = (*to.server_side.disk_wait_s - *from.server_side.disk_wait_s) / wall_s;
  }
  if (!from.processors || !to.processors) return std::nullopt;
  const double total_s = to.processors->total_s - from.processors->total_s;
  if (total_s <= 0) return std::nullopt;
  const double idle = (to.processors->idle_s - from.processors->idle_s) / total_s;
  const double iowait = (to.processors->iowait_s - from.processors->iowait_s) / total_s;
  figures[Metric::cpu_idle_share] = idle;
  figures[Metric::cpu_iowait_share] = iowait;
  return 1 - idle - iowait;
}

// Over the whole trial, warm-up included: only then do the server and the disk speak of the same requests.
void note_disk(json disk, Trial& trial) {
  const json requests = trial.evidence.at("server").at("statistics").value(json::json_pointer("/total/requests"), json());
  if (requests.is_number() && requests > 0 && disk.is_object()) {
    trial.figures[Metric::cache_hit_share] = std::max(0.0, 1 - disk.at("reads").get<double>() / requests.get<double>());
  }
  trial.evidence["disk"] = std::move(disk);
}

// What a reply may take: the loosest of the limits that the specification sets, else the lecture notes' 3 s.
double longest_allowed_ms(const Specification& spec) {
  double longest = 0;
  for (const auto& [metric, limit_ms] : spec.slo) longest = std::max(longest, limit_ms);
  return longest > 0 ? longest : 3000;
}

void note_load(const json& load, double allowed_ms, Figures& figures) {
  figures[Metric::throughput_mbps] = optional_number(load, "throughput_mbps");
  figures[Metric::replies_per_s] = optional_number(load, "replies_per_s");
  figures[Metric::errors] = optional_number(load.at("errors"), "total");
  if (const auto reopened = optional_number(load.at("connections"), "reopened")) {
    if (const double duration_s = load.at("duration_s").get<double>(); duration_s > 0) figures[Metric::connections_per_s] = *reopened / duration_s;
  }
  const json& latency = load.at("latency_ms");
  for (const MetricName& metric : metric_table) {
    if (std::string_view(metric.group) == "latency_ms") figures[metric.metric] = optional_number(latency, metric.name);
  }
  const Histogram histogram = Histogram::from_json(load.at("histogram"));
  if (histogram.count() > 0) figures[Metric::latency_p95_ms] = static_cast<double>(histogram.percentile_ns(0.95)) * 1e-6;
  double late = 0;
  histogram.for_each([&](std::size_t bucket, std::uint64_t count) {
    if (static_cast<double>(Histogram::bucket_low(bucket)) * 1e-6 > allowed_ms) late += static_cast<double>(count);
  });
  const double failed = figures[Metric::errors].value_or(0), asked = static_cast<double>(histogram.count()) + failed;
  if (asked > 0) figures[Metric::sla_violations] = (late + failed) / asked;
}

}  // namespace

ClientReport client_report(const json& load) {
  ClientReport report;
  const json& errors = load.at("errors");
  const auto count = [&](const char* cause) { return errors.value(cause, std::uint64_t{0}); };
  report.replies = load.at("replies").get<std::uint64_t>();
  report.timeouts = count("timeout") + count("connect_timeout");
  report.wrong_replies = count("wrong_bytes") + count("wrong_length");
  report.failures = count("total") - report.timeouts;
  report.replies_per_s = optional_number(load, "replies_per_s").value_or(0);
  report.latency_mean_ms = optional_number(load.at("latency_ms"), "mean");
  const std::string model = load.at("model");
  if (model == "open") report.offered_per_s = optional_number(load, "offered_per_s");
  const json& connections = load.at("connections");
  report.connections_asked = connections.at("asked").get<std::uint32_t>();
  report.connections_opened = connections.at("opened").get<std::uint32_t>();
  report.in_flight_mean = optional_number(load, "in_flight_mean");
  report.keep_alive = model == "closed" && connections.value("reopened", std::uint64_t{0}) * 100 < report.replies;
  report.starved_connections = load.value("starved_connections", 0u);
  if (model != "closed" && model != "open") {
    // Users come and go: connections are what they may need at most, and one that nobody needed is not starved.
    report.connections_opened = report.connections_asked;
    report.starved_connections = 0;
  }
  for (const json& one : load.at("classes")) {
    report.classes.push_back({one.at("size_bytes").is_null() ? 0 : one.at("size_bytes").get<std::uint64_t>(), one.at("attempts").get<std::uint64_t>(),
                              one.at("timeouts").get<std::uint64_t>()});
  }
  if (const auto share = optional_number(load.at("client"), "cpu_share")) report.client_cpu_share = *share / std::max(1u, load.value("threads", 1u));
  return report;
}

TrialRunner::TrialRunner(Programs& programs, const Specification& spec, const Materials& materials, Placement placement)
    : programs_(programs), reactor_(programs.reactor()), spec_(spec), materials_(materials), placement_(std::move(placement)) {
  if (spec_.disk) delay_accounting_ = std::make_unique<DelayAccounting>();
}

TrialRunner::Ceiling& TrialRunner::ceiling_of(const Cell& cell) {
  const auto body = std::min(largest_ceiling_body, static_cast<std::uint64_t>(std::llround(materials_.of(cell).workload.mean_transfer_bytes())));
  Ceiling& ceiling = ceilings_[body];
  if (!ceiling.server && spec_.ceiling_s > 0) {
    ceiling.server = std::make_unique<ServerProcess>(
        reactor_, "bakeoff-ceiling",
        Command{{programs_.find("bakeoff-ceiling").string(), "--port", "0", "--body-bytes", std::to_string(body)}, placement_.server_processors});
  }
  return ceiling;
}

TrialRunner::~TrialRunner() {
  std::error_code ignored;
  if (!scratch_.empty()) std::filesystem::remove_all(scratch_, ignored);
}

// Every trial begins with the same pages in memory: a slow disk is mounted anew; for the machine's own, prepare_machine has seen to it.
TrialRunner::Ground TrialRunner::lay(const Cell& cell, bool to_verify) {
  Ground ground;
  if (!spec_.disk) return ground;
  const std::filesystem::path& root = materials_.of(cell).root;
  if (has_slow_disk(spec_)) {
    ground.disk = std::make_unique<SlowDisk>(programs_, spec_, cell, root, placement_.client_processors, to_verify);
  }
  if (!to_verify && (spec_.disk->memory_bytes > 0 || spec_.disk->reads_per_s > 0 || spec_.disk->read_bytes_per_s > 0)) {
    ground.limits = std::make_unique<ServerLimits>(*spec_.disk, root);
  }
  return ground;
}

Command TrialRunner::server_command(std::vector<std::string> arguments, const Ground& ground) const {
  return {std::move(arguments), placement_.server_processors, ground.limits ? ground.limits->entrances() : std::vector<std::string>()};
}

std::unique_ptr<ServerProcess> TrialRunner::start(const Cell& cell, const Ground& ground) {
  const bool outside = std::any_of(spec_.servers.begin(), spec_.servers.end(), [&](const ServerSpec& server) { return server.name == cell.server && server.outside; });
  if (outside) return start_outside(cell, ground);
  Command command = server_command({programs_.find(cell.architecture).string(), "--root", materials_.of(cell).root.string(), "--address", "127.0.0.1", "--port", "0",
                                    "--workers", std::to_string(cell.workers)},
                                   ground);
  for (const auto& [key, value] : cell.options) {
    command.arguments.push_back("--" + key);
    command.arguments.push_back(value);
  }
  if (materials_.of(cell).workload.files.has_made()) {
    command.arguments.push_back("--dynamic");
    command.arguments.push_back("on");
  }
  return std::make_unique<ServerProcess>(reactor_, cell.server, command);
}

const std::filesystem::path& TrialRunner::scratch() {
  if (!scratch_.empty()) return scratch_;
  std::string pattern = (std::filesystem::temp_directory_path() / "bakeoff-scratch-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw StartError("cannot make a directory in " + std::filesystem::temp_directory_path().string());
  scratch_ = pattern;
  return scratch_;
}

std::unique_ptr<ServerProcess> TrialRunner::start_outside(const Cell& cell, const Ground& ground) {
  std::error_code ignored;
  // A fresh one each time, so that no trial finds what another left.
  const std::filesystem::path dir = scratch() / cell.server;
  std::filesystem::remove_all(dir, ignored);
  std::filesystem::create_directories(dir, ignored);
  const std::uint16_t port = free_port();
  auto server = std::make_unique<ServerProcess>(reactor_, cell.server,
                                                server_command(prepare_outside(load_outside(cell.architecture), cell, materials_.of(cell).root, dir, port), ground), port);
  if (const auto congestion = cell.options.find("congestion"); congestion != cell.options.end()) {
    set_congestion_of_listener(server->group(), port, congestion->second);
  }
  return server;
}

Command TrialRunner::load_command(const Cell& cell, std::uint16_t port, std::uint64_t seed, LoadTimes times) const {
  Command command{{programs_.find("bakeoff-load").string(), url(port), "--connections", std::to_string(cell.connections), "--threads",
                   std::to_string(std::min(spec_.client_threads, cell.connections)), "--warmup", seconds(times.warmup_s), "--duration", seconds(times.duration_s),
                   "--timeout", seconds(spec_.timeout_s), "--workload", spec_.workload, "--seed", std::to_string(seed), "--json", "-"},
                  placement_.client_processors};
  for (const std::string& assignment : workload_overrides(spec_, cell)) {
    command.arguments.push_back("--set");
    command.arguments.push_back(assignment);
  }
  if (spec_.discard_bodies) command.arguments.push_back("--discard");
  if (cell.load_model == "partly-open") command.arguments.push_back("--sessions");
  if (cell.rate) {
    command.arguments.push_back("--rate");
    command.arguments.push_back(rate_text(*cell.rate));
  }
  return command;
}

void TrialRunner::verify(const Cell& cell) {
  const Ground ground = lay(cell, true);
  const std::unique_ptr<ServerProcess> server = start(cell, ground);
  try {
    verify_files(reactor_, cell.server, server->port(), materials_.of(cell).workload.files, [&] { return !server->has_ended(); });
  } catch (const StartError& error) {
    if (server->has_ended()) throw StartError(std::string(error.what()) + "; the server " + server->obituary());
    throw;
  }
}

TrialRunner::CeilingReading TrialRunner::read(Ceiling& ceiling) {
  CeilingReading reading;
  if (!ceiling.server) return reading;
  const Command command{{programs_.find("bakeoff-load").string(), url(ceiling.server->port()), "--connections", std::to_string(ceiling_connections), "--warmup",
                         seconds(ceiling_warmup_s), "--duration", seconds(spec_.ceiling_s), "--json", "-"},
                        placement_.client_processors};
  try {
    Child load(reactor_, command);
    GroupProbe probe(ceiling.server->group());
    const SteadyTime begun = std::chrono::steady_clock::now();
    const auto sample_at = [&](double share) {
      reactor_.wait_until([&] { return load.has_ended(); },
                          begun + std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(ceiling_warmup_s + share * spec_.ceiling_s)));
      return probe.sample();
    };
    const GroupUse from = sample_at(sample_from), to = sample_at(sample_to);
    if (load.wait_for_end(after_s(spec_.ceiling_s + 30)) && load.exit_status() == 0) {
      reading.replies_per_s = optional_number(json::parse(load.rest_of_output()), "replies_per_s");
      const double cpu_share = static_cast<double>(to.total.cpu_ns - from.total.cpu_ns) * 1e-9 / elapsed_s(from.at, to.at);
      if (reading.replies_per_s && *reading.replies_per_s > 0 && cpu_share > 0) reading.cpu_us_per_reply = cpu_share / *reading.replies_per_s * 1e6;
    }
  } catch (const StartError&) {
  } catch (const json::exception&) {
  }
  ceiling.last = reading;
  ceiling.last_at = std::chrono::steady_clock::now();
  return reading;
}

Trial TrialRunner::run(const Cell& cell, const TrialKey& key, std::uint32_t attempt) {
  Trial trial;
  trial.key = key;
  trial.attempt = attempt;
  Ceiling& ceiling = ceiling_of(cell);
  const bool fresh = ceiling.last.replies_per_s && elapsed_s(ceiling.last_at, std::chrono::steady_clock::now()) < ceiling_fresh_s;
  const CeilingReading before = fresh ? ceiling.last : read(ceiling);
  trial.ceiling_before = before.replies_per_s;
  trial.started = utc_now();
  try {
    prepare_machine(cell, trial);
    measure(cell, trial);
  } catch (const StartError& error) {
    trial.reasons.push_back(error.what());
  } catch (const json::exception& error) {
    trial.reasons.push_back(std::string("the client's report cannot be read: ") + error.what());
  }
  derive_figures(trial.figures);
  trial.valid = trial.reasons.empty();
  const CeilingReading after = read(ceiling);
  trial.ceiling_after = after.replies_per_s;
  if (before.replies_per_s && after.replies_per_s) {
    const double greater = std::max(*before.replies_per_s, *after.replies_per_s);
    if (std::fabs(*after.replies_per_s - *before.replies_per_s) > spec_.ceiling_difference * greater) {
      char flag[128];
      std::snprintf(flag, sizeof flag, "the machine changed speed: ceiling %.0f then %.0f replies/s", *before.replies_per_s, *after.replies_per_s);
      trial.evidence["flags"].push_back(flag);
      trial.steady = false;
    }
    const auto& replies = trial.figures[Metric::replies_per_s];
    if (replies && greater > 0) trial.figures[Metric::relative_to_ceiling] = *replies / ((*before.replies_per_s + *after.replies_per_s) / 2);
  }
  const auto& cpu = trial.figures[Metric::server_cpu_us_per_reply];
  if (cpu && before.cpu_us_per_reply && after.cpu_us_per_reply) {
    trial.figures[Metric::cpu_relative_to_ceiling] = *cpu / ((*before.cpu_us_per_reply + *after.cpu_us_per_reply) / 2);
  }
  return trial;
}

void TrialRunner::prepare_machine(const Cell& cell, Trial& trial) {
  const Materials::Material& material = materials_.of(cell);
  const auto memory = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const bool fits = !spec_.disk && material.workload.files.total_bytes() <= memory / 2;
  const PageCache state = spec_.page_cache.value_or(fits ? PageCache::warm : PageCache::cold);
  if (!has_slow_disk(spec_)) trial.evidence["page_cache"] = {{"before", to_string(state)}, {"bytes", bring_page_cache(reactor_, material.root, state)}};

  // Connections of the trials before that are not forgotten yet hold ports which this one may need, unless the kernel lets
  // them be used again.
  const SteadyTime begun = std::chrono::steady_clock::now();
  const auto crowded = [] { return !reuses_ports() && read_tcp_counters().time_wait.value_or(0) > local_ports() / 2; };
  while (crowded() && elapsed_s(begun, std::chrono::steady_clock::now()) < longest_time_wait_s) reactor_.sleep_until(after_s(0.5));
  trial.evidence["waited_for_ports_s"] = elapsed_s(begun, std::chrono::steady_clock::now());
  if (crowded()) trial.evidence["flags"].push_back("more than half of the local ports were still in TIME_WAIT");
}

json TrialRunner::profile(const Cell& cell, ServerProcess& server) {
  json profile = {{"unavailable", json::object()}};
  const double watched_s = std::max(spec_.duration_s, least_profile_s);
  const std::vector<pid_t> processes = SideProbe(server.group(), {}).processes();
  const auto under_load = [&](const auto& watch) -> std::optional<double> {
    Child load(reactor_, load_command(cell, server.port(), spec_.seed, {spec_.warmup_s, watched_s + longest_perf_s}));
    reactor_.wait_until([&] { return load.has_ended() || server.has_ended(); }, after_s(spec_.warmup_s + profile_margin_s));
    watch();
    load.stop();  // it tells what it has measured so far
    const json report = json::parse(load.rest_of_output(), nullptr, false);
    return report.is_object() ? optional_number(report, "replies_per_s") : std::nullopt;
  };
  under_load([&] { sample_stacks(reactor_, processes, watched_s, scratch(), profile); });
  const auto replies_per_s = under_load([&] { count_system_calls(reactor_, processes, watched_s, scratch(), profile); });
  profile["system_calls_per_reply"] = nullptr;
  if (replies_per_s && *replies_per_s > 0 && profile["system_calls_per_s"].is_number()) {
    profile["system_calls_per_reply"] = profile["system_calls_per_s"].get<double>() / *replies_per_s;
  }
  return profile;
}

void TrialRunner::measure(const Cell& cell, Trial& trial) {
  const Ground ground = lay(cell, false);
  const std::unique_ptr<ServerProcess> started = start(cell, ground);
  ServerProcess& server = *started;
  GroupProbe probe(server.group());
  json use = json::object();
  trial.evidence["ready"] = server.ready();

  // The same seed for all cells of a block: they get the same requests.
  const std::uint64_t seed = spec_.seed * 1'000'003 + trial.key.block * 2 + (trial.key.phase == Phase::final ? 1 : 0);
  // A trial that is repeated may have begun before its server had settled: it gets longer to do so.
  const double warmup_s = spec_.warmup_s * static_cast<double>(1u << std::min(trial.attempt, 3u));
  const TcpCounters tcp_before = read_tcp_counters();
  Child load(reactor_, load_command(cell, server.port(), seed, {warmup_s, spec_.duration_s}));
  SideProbe server_side(server.group(), placement_.server_processors), client_side(load.pid(), placement_.client_processors);
  const auto over = [&] { return load.has_ended() || server.has_ended(); };
  const SteadyTime begun = std::chrono::steady_clock::now();
  const auto at = [&](double share) {
    return begun + std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(warmup_s + share * spec_.duration_s));
  };
  std::optional<Sample> first, second;
  std::vector<std::pair<SteadyTime, double>> sent;
  for (int step = 0; step <= spans; ++step) {
    if (reactor_.wait_until(over, at(static_cast<double>(step) / spans))) break;
    if (const auto bytes = bytes_sent()) sent.emplace_back(std::chrono::steady_clock::now(), *bytes);
    if (step == first_sample_span) first = Sample{probe.sample(), user_switches(server.group()), processor_times(placement_.server_processors), server_side.sample(), client_side.sample()};
    if (step == second_sample_span) {
      second = Sample{probe.sample(), user_switches(server.group()), processor_times(placement_.server_processors), server_side.sample(true), client_side.sample(true)};
      if (const auto& bytes = second->server_side.proportional_bytes) trial.figures[Metric::memory_bytes] = static_cast<double>(*bytes);
      if (const auto bytes = page_cache_bytes()) trial.figures[Metric::page_cache_bytes] = static_cast<double>(*bytes);
    }
  }
  const bool in_time = reactor_.wait_until(over, at(1) + std::chrono::seconds(static_cast<int>(spec_.timeout_s) * 2 + 30));
  if (server.has_ended()) {
    trial.reasons.push_back("the server " + server.obituary());
    return;
  }
  const SteadyTime ended = std::chrono::steady_clock::now();
  if (!in_time || !load.wait_for_end(after_s(2))) {
    trial.reasons.push_back("the client did not end in time");
    return;
  }
  if (load.exit_status() != 0) {
    trial.reasons.push_back("the client failed: " + last_line(load.errors()));
    return;
  }
  json report = json::parse(load.rest_of_output());
  note_load(report, longest_allowed_ms(spec_), trial.figures);
  trial.evidence["tcp"] = tcp_between(tcp_before, read_tcp_counters());
  // The samples must lie within the measured time, which ended just before the client did.
  const double duration_s = report.at("duration_s").get<double>();
  std::optional<double> busy;
  const bool sampled = first && second && elapsed_s(first->server.at, ended) < duration_s;
  if (sampled) {
    busy = note_use(*first, *second, trial.figures, use);
    use.update(use_between(first->server_side, second->server_side));
    trial.evidence["client"] = use_between(first->client_side, second->client_side);
  }
  trial.reasons = broken_rules(client_report(report), busy, spec_.validity);
  for (const auto& [metric, limit_ms] : spec_.slo) {
    const auto& latency_ms = trial.figures[metric];
    if (!latency_ms || *latency_ms <= limit_ms) continue;
    const auto name = std::find_if(metric_table.begin(), metric_table.end(), [&, &wanted = metric](const MetricName& one) { return one.metric == wanted; });
    char reason[96];
    std::snprintf(reason, sizeof reason, "misses the SLO: latency %s above %.4g ms", name->name, limit_ms);
    trial.reasons.push_back(reason);
  }
  if (const auto without_port = report.at("errors").value("address_unavailable", std::uint64_t{0}); without_port > 0) {
    trial.reasons.push_back("the client ran out of ports");
  }
  if (sampled && first->server_side.descriptors && second->server_side.descriptors) {
    // Clients and an open-file cache account for no more than one descriptor each.
    const std::uint64_t before = *first->server_side.descriptors, after = *second->server_side.descriptors;
    if (after > before + (cell.connections + materials_.of(cell).workload.files.size()) * cell.workers) {
      trial.reasons.push_back("the server leaks descriptors: " + std::to_string(before) + ", then " + std::to_string(after));
    }
  }
  std::vector<double> levels;
  for (std::size_t i = 1; i < sent.size(); ++i) {
    if (elapsed_s(sent[i - 1].first, ended) < duration_s) levels.push_back((sent[i].second - sent[i - 1].second) / elapsed_s(sent[i - 1].first, sent[i].first));
  }
  const std::optional<bool> settled = cell.load_model == "closed" ? has_settled(levels, spec_.drift) : std::nullopt;
  trial.evidence["warmup"] = {{"seconds", warmup_s}, {"settled", settled ? json(*settled) : json(nullptr)}, {"bytes_per_s", levels}};
  if (settled == false) {
    trial.steady = false;
    trial.evidence["flags"].push_back("throughput was still changing: the warm-up was too short");
  }
  trial.evidence["load"] = std::move(report);
  if (spec_.profile && trial.key.block < profiled_trials) trial.evidence["profile"] = profile(cell, server);

  use["statistics"] = server.stop();
  if (!server.stopped_in_order()) use["stopped_by"] = "SIGKILL: it did not end in time after SIGTERM";
  trial.evidence["server"] = std::move(use);
  if (ground.disk) note_disk(ground.disk->stop(), trial);
}

}  // namespace bakeoff
