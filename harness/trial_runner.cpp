#include "harness/trial_runner.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/errors.h"
#include "harness/outside.h"
#include "harness/plan.h"
#include "harness/process_probe.h"
#include "harness/verifier.h"

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
  std::optional<ProcessorTimes> processors;
};

Sample take_sample(GroupProbe& probe, const std::vector<int>& processors) { return {probe.sample(), processor_times(processors)}; }

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
  if (!from.processors || !to.processors) return std::nullopt;
  const double total_s = to.processors->total_s - from.processors->total_s;
  if (total_s <= 0) return std::nullopt;
  const double idle = (to.processors->idle_s - from.processors->idle_s) / total_s;
  const double iowait = (to.processors->iowait_s - from.processors->iowait_s) / total_s;
  figures[Metric::cpu_idle_share] = idle;
  figures[Metric::cpu_iowait_share] = iowait;
  return 1 - idle - iowait;
}

void note_load(const json& load, Figures& figures) {
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
    : programs_(programs), reactor_(programs.reactor()), spec_(spec), materials_(materials), placement_(std::move(placement)) {}

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

std::unique_ptr<ServerProcess> TrialRunner::start(const Cell& cell) {
  const bool outside = std::any_of(spec_.servers.begin(), spec_.servers.end(), [&](const ServerSpec& server) { return server.name == cell.server && server.outside; });
  if (outside) return start_outside(cell);
  Command command{{programs_.find(cell.architecture).string(), "--root", materials_.of(cell).root.string(), "--address", "127.0.0.1", "--port", "0", "--workers",
                   std::to_string(cell.workers)},
                  placement_.server_processors};
  for (const auto& [key, value] : cell.options) {
    command.arguments.push_back("--" + key);
    command.arguments.push_back(value);
  }
  return std::make_unique<ServerProcess>(reactor_, cell.server, command);
}

std::unique_ptr<ServerProcess> TrialRunner::start_outside(const Cell& cell) {
  std::error_code ignored;
  if (scratch_.empty()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "bakeoff-outside-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw StartError("cannot make a directory for " + cell.server + " in " + std::filesystem::temp_directory_path().string());
    scratch_ = pattern;
  }
  // A fresh one each time, so that no trial finds what another left.
  const std::filesystem::path dir = scratch_ / cell.server;
  std::filesystem::remove_all(dir, ignored);
  std::filesystem::create_directories(dir, ignored);
  const std::uint16_t port = free_port();
  auto server = std::make_unique<ServerProcess>(reactor_, cell.server,
                                                Command{prepare_outside(load_outside(cell.architecture), cell, materials_.of(cell).root, dir, port), placement_.server_processors}, port);
  if (const auto congestion = cell.options.find("congestion"); congestion != cell.options.end()) {
    set_congestion_of_listener(server->group(), port, congestion->second);
  }
  return server;
}

Command TrialRunner::load_command(const Cell& cell, std::uint16_t port, std::uint64_t seed) const {
  Command command{{programs_.find("bakeoff-load").string(), url(port), "--connections", std::to_string(cell.connections), "--threads",
                   std::to_string(std::min(spec_.client_threads, cell.connections)), "--warmup", seconds(spec_.warmup_s), "--duration", seconds(spec_.duration_s),
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
  const std::unique_ptr<ServerProcess> server = start(cell);
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
    measure(cell, trial);
  } catch (const StartError& error) {
    trial.reasons.push_back(error.what());
  } catch (const json::exception& error) {
    trial.reasons.push_back(std::string("the client's report cannot be read: ") + error.what());
  }
  trial.valid = trial.reasons.empty();
  const CeilingReading after = read(ceiling);
  trial.ceiling_after = after.replies_per_s;
  if (before.replies_per_s && after.replies_per_s) {
    const double greater = std::max(*before.replies_per_s, *after.replies_per_s);
    trial.steady = std::fabs(*after.replies_per_s - *before.replies_per_s) <= spec_.ceiling_difference * greater;
    const auto& replies = trial.figures[Metric::replies_per_s];
    if (replies && greater > 0) trial.figures[Metric::relative_to_ceiling] = *replies / ((*before.replies_per_s + *after.replies_per_s) / 2);
  }
  const auto& cpu = trial.figures[Metric::server_cpu_us_per_reply];
  if (cpu && before.cpu_us_per_reply && after.cpu_us_per_reply) {
    trial.figures[Metric::cpu_relative_to_ceiling] = *cpu / ((*before.cpu_us_per_reply + *after.cpu_us_per_reply) / 2);
  }
  return trial;
}

void TrialRunner::measure(const Cell& cell, Trial& trial) {
  const std::unique_ptr<ServerProcess> started = start(cell);
  ServerProcess& server = *started;
  GroupProbe probe(server.group());
  json use = json::object();
  trial.evidence["ready"] = server.ready();

  // The same seed for all cells of a block: they get the same requests.
  const std::uint64_t seed = spec_.seed * 1'000'003 + trial.key.block * 2 + (trial.key.phase == Phase::final ? 1 : 0);
  Child load(reactor_, load_command(cell, server.port(), seed));
  const auto over = [&] { return load.has_ended() || server.has_ended(); };
  const SteadyTime begun = std::chrono::steady_clock::now();
  const auto at = [&](double share) {
    return begun + std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(spec_.warmup_s + share * spec_.duration_s));
  };
  std::optional<Sample> first, second;
  if (!reactor_.wait_until(over, at(sample_from))) first = take_sample(probe, placement_.server_processors);
  if (!reactor_.wait_until(over, at(sample_to))) {
    second = take_sample(probe, placement_.server_processors);
    if (const auto bytes = probe.memory_bytes()) trial.figures[Metric::memory_bytes] = static_cast<double>(*bytes);
    if (const auto bytes = page_cache_bytes()) trial.figures[Metric::page_cache_bytes] = static_cast<double>(*bytes);
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
  note_load(report, trial.figures);
  // The samples must lie within the measured time, which ended just before the client did.
  std::optional<double> busy;
  if (first && second && elapsed_s(first->server.at, ended) < report.at("duration_s").get<double>()) {
    busy = note_use(*first, *second, trial.figures, use);
  }
  trial.reasons = broken_rules(client_report(report), busy, spec_.validity);
  trial.evidence["load"] = std::move(report);

  use["statistics"] = server.stop();
  if (!server.stopped_in_order()) use["stopped_by"] = "SIGKILL: it did not end in time after SIGTERM";
  trial.evidence["server"] = std::move(use);
}

}  // namespace bakeoff
