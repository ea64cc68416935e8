#include "harness/run/trial_runner.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/stats_region.h"
#include "harness/ground/page_cache.h"
#include "harness/machine/evidence.h"
#include "harness/machine/profile.h"
#include "harness/plan/plan.h"
#include "harness/run/load_report.h"

namespace bakeoff {
namespace {

using nlohmann::json;

// The measured time is cut into so many spans to see whether throughput still changes.
constexpr int spans = 10;
constexpr int last_sample_span = 9;
constexpr double latest_first_sample = 0.75;  // of the measured time: later, too little of it is left
constexpr const char* hold = "2s";            // the client keeps its connections for the sample that comes too late
constexpr double longest_time_wait_s = 65;    // the kernel forgets a connection after 60 s
constexpr double others_least_s = 0.05;       // /proc/stat counts clock ticks: what others took below that is rounding
constexpr std::uint32_t profiled_trials = 3;  // of a cell in each phase: a breakdown hardly differs, and takes long
constexpr double least_profile_s = 1;
constexpr double profile_margin_s = 0.3;  // until connections are open
constexpr double longest_perf_s = 120;    // for perf to attach and detach, which on a busy machine takes its time

std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const std::size_t before = text.rfind('\n');
  return before == std::string::npos ? text : text.substr(before + 1);
}

// Of what mpirun and the ranks said, the line that names the cause.
std::string what_launcher_said(const std::string& text) {
  std::string last;
  for (const char* mark : {"bakeoff-load: ", " noticed that ", "ORTE ", "srun: error"}) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.find(mark) != std::string::npos) return visible(line);
      if (line.find_first_not_of(" -\t\r") != std::string::npos) last = line;
    }
  }
  return last.empty() ? "it said nothing" : visible(last);
}

// A clock that stepped, or a rank that began too late, is nothing that the server did.
void note_ranks(const json& report, Trial& trial) {
  for (const json& rank : report.at("ranks")) {
    for (const json& fault : rank.at("faults"))
      trial.void_causes.push_back("client host " + rank.at("host").get<std::string>() + ": " +
                                  fault.get<std::string>());
  }
}

constexpr const char* no_cpu_figures = "no CPU figures: the harness got no processor while the client asked";

double elapsed_s(SteadyTime from, SteadyTime to) { return std::chrono::duration<double>(to - from).count(); }

// What a server of ours counts itself; empty for others.
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

struct Sample {
  SideUse server, client;
  std::optional<std::uint64_t> user_switches;
};

// What lies between two samples.
struct Sampled {
  double measured_s;    // of the measured time
  double wall_s;        // more, when the second sample came after its end: nothing was asked for meanwhile
  double late_replies;  // requests that were under way at the end, and were served before the second sample
};

double change_of(const SideUse& from, const SideUse& to, const std::string& state) {
  const auto a = from.processors_s.find(state), b = to.processors_s.find(state);
  return a == from.processors_s.end() || b == to.processors_s.end() ? 0 : b->second - a->second;
}

// What the server used between two samples.
void note_use(const Sample& from, const Sample& to, const Sampled& sampled, Trial& trial, json& evidence) {
  Figures& figures = trial.figures;
  const double measured_s = sampled.measured_s;
  const double cpu_s = to.server.cpu_s - from.server.cpu_s;
  const auto switches = [](const SideUse& use) {
    return static_cast<double>(use.voluntary_switches + use.involuntary_switches);
  };
  evidence["sampled_s"] = measured_s;
  evidence["processes"] = to.server.processes;
  evidence["tasks"] = to.server.tasks;
  if (const auto& replies = figures[Metric::replies_per_s]; replies && *replies > 0)
    figures[Metric::server_cpu_us_per_reply] = cpu_s / (measured_s * *replies + sampled.late_replies) * 1e6;
  figures[Metric::context_switches_per_s] = (switches(to.server) - switches(from.server)) / measured_s;
  if (from.user_switches && to.user_switches)
    figures[Metric::user_switches_per_s] = static_cast<double>(*to.user_switches - *from.user_switches) / measured_s;
  if (from.server.disk_wait_s && to.server.disk_wait_s)
    figures[Metric::disk_waiting_tasks] = (*to.server.disk_wait_s - *from.server.disk_wait_s) / measured_s;
  double total_s = 0;
  for (const auto& [state, value] : to.server.processors_s) total_s += change_of(from.server, to.server, state);
  if (total_s <= 0) return;
  // After the end of the measured time the processors were idle: that part is no part of it.
  const double after_s = total_s * std::max(0.0, 1 - measured_s / std::max(sampled.wall_s, measured_s));
  total_s -= after_s;
  const double idle = std::max(0.0, change_of(from.server, to.server, "idle") - after_s) / total_s;
  const double iowait = change_of(from.server, to.server, "iowait") / total_s;
  figures[Metric::cpu_idle_share] = idle;
  figures[Metric::cpu_iowait_share] = iowait;
  if (trial.counts) {
    trial.counts->server_busy_s = (1 - idle - iowait) * measured_s;
    trial.counts->server_sampled_s = measured_s;
  }
}

// Over the whole trial, warm-up included: only then do the client and the disk speak of the same requests. The client
// counts them, since outside servers have no statistics, nor has a server that had to be killed.
void note_disk(json disk, Trial& trial) {
  const auto load = trial.evidence.find("load");
  const auto requests = load == trial.evidence.end() ? std::nullopt : optional_number(*load, "attempts_in_all");
  if (requests && *requests > 0 && disk.is_object()) {
    trial.figures[Metric::cache_hit_share] = std::max(0.0, 1 - disk.at("reads").get<double>() / *requests);
  }
  trial.evidence["disk"] = std::move(disk);
}

// What a reply may take: the loosest of the limits that the specification sets, else the lecture notes' 3 s.
double longest_allowed_ms(const Specification& spec) {
  double longest = 0;
  for (const auto& [metric, limit_ms] : spec.slo) longest = std::max(longest, limit_ms);
  return longest > 0 ? longest : 3000;
}

// On which something of ours runs: server, client, harness, and a slow disk with the harness.
std::vector<int> used_processors(const Placement& placement) {
  std::set<int> all(placement.server_processors.begin(), placement.server_processors.end());
  all.insert(placement.client_processors.begin(), placement.client_processors.end());
  all.insert(placement.harness_processors.begin(), placement.harness_processors.end());
  return {all.begin(), all.end()};
}

}  // namespace

TrialRunner::TrialRunner(Programs& programs, const Specification& spec, const FileSets& file_sets, Placement placement,
                         std::shared_ptr<ClientHosts> hosts)
    : programs_(programs),
      reactor_(programs.reactor()),
      spec_(spec),
      file_sets_(file_sets),
      placement_(std::move(placement)),
      pin_(placement_.harness_processors),
      launcher_(programs, spec, file_sets, placement_),
      hosts_(hosts || !spec.hosts.any() ? std::move(hosts) : std::make_shared<ClientHosts>(programs, spec)),
      ceilings_(programs, placement_, spec.ceiling_s,
                has_own_network(spec) ? std::optional<NetworkSpec>(spec.network) : std::nullopt,
                server_address(spec.hosts), hosts_.get()) {
  if (spec_.disk) delay_accounting_ = std::make_unique<DelayAccounting>();
}

double TrialRunner::now_s() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double TrialRunner::mean_transfer_bytes(const Cell& cell) const {
  return file_sets_.of(cell).workload.mean_transfer_bytes();
}

Command TrialRunner::load_command(const Cell& cell, std::uint16_t port, std::uint64_t seed, LoadTimes times) const {
  Command command = bakeoff::load_command(programs_, spec_, cell, port, seed, times);
  command.processors = placement_.client_processors;
  return hosts_ ? hosts_->as_ranks(command) : command;
}

Trial TrialRunner::run(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s) {
  if (hosts_) hosts_->make_ready();
  Trial trial;
  trial.key = key;
  trial.attempt = attempt;
  const auto harness_failed = [&](const std::exception& error) {
    trial.void_causes.push_back(std::string("the harness failed: ") + error.what());
  };
  CeilingReading before, after;
  try {
    before = ceilings_.before(mean_transfer_bytes(cell));
  } catch (const StartError& error) {
    harness_failed(error);
  }
  trial.started = utc_now();
  try {
    prepare_machine(cell, trial);
    measure(cell, trial, warmup_s);
  } catch (const StartError& error) {
    harness_failed(error);
  } catch (const json::exception& error) {
    trial.failures.push_back("the client's report cannot be read: " + plain_words(error));
  } catch (const UsageError& error) {
    trial.failures.push_back(error.what());
  }
  derive_figures(trial.figures);
  try {
    after = ceilings_.after(mean_transfer_bytes(cell));
  } catch (const StartError& error) {
    harness_failed(error);
  }
  judge_ceiling(cell, before, after, trial);
  return trial;
}

// Looks at the ceiling's readings alone: whether a trial is void must not depend on its own figures.
void TrialRunner::judge_ceiling(const Cell& cell, const CeilingReading& before, const CeilingReading& after,
                                Trial& trial) const {
  trial.ceiling_before = before.replies_per_s;
  trial.ceiling_after = after.replies_per_s;
  if (!ceilings_.is_read()) return;
  if (!before.replies_per_s || !after.replies_per_s) {
    if (trial.void_causes.empty()) trial.void_causes.push_back("the ceiling could not be read");
    return;
  }
  const double greater = std::max(*before.replies_per_s, *after.replies_per_s);
  if (std::fabs(*after.replies_per_s - *before.replies_per_s) > spec_.ceiling_difference * greater) {
    trial.evidence["ceiling"] =
        fmt::format("{:.0f} then {:.0f} replies/s", *before.replies_per_s, *after.replies_per_s);
    trial.void_causes.push_back("the machine changed speed: the ceiling before and after differs");
  }
  // At a fixed rate the ceiling's speed says nothing about the server's.
  if (cell.rate || cell.load_model == "open") return;
  if (const auto& replies = trial.figures[Metric::replies_per_s]; replies && greater > 0)
    trial.figures[Metric::relative_to_ceiling] = *replies / ((*before.replies_per_s + *after.replies_per_s) / 2);
  const auto& cpu = trial.figures[Metric::server_cpu_us_per_reply];
  if (cpu && before.cpu_us_per_reply && after.cpu_us_per_reply)
    trial.figures[Metric::cpu_relative_to_ceiling] = *cpu / ((*before.cpu_us_per_reply + *after.cpu_us_per_reply) / 2);
}

void TrialRunner::prepare_machine(const Cell& cell, Trial& trial) {
  const FileSets::Made& made = file_sets_.of(cell);
  const auto memory =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const bool fits = !spec_.disk && made.workload.files.total_bytes() <= memory / 2;
  const PageCache state = spec_.page_cache.value_or(fits ? PageCache::warm : PageCache::cold);
  if (!has_slow_disk(spec_))
    trial.evidence["page_cache"] = {{"before", to_string(state)},
                                    {"bytes", bring_page_cache(reactor_, made.root, state)}};

  if (has_own_network(spec_)) return;
  // Connections of the trials before that are not forgotten yet hold ports which this one may need, unless the kernel
  // lets them be used again.
  const SteadyTime begun = std::chrono::steady_clock::now();
  const auto crowded = [] { return !reuses_ports() && read_tcp_counters().time_wait.value_or(0) > local_ports() / 2; };
  while (crowded() && elapsed_s(begun, std::chrono::steady_clock::now()) < longest_time_wait_s)
    reactor_.sleep_until(after_s(0.5));
  trial.evidence["waited_for_ports_s"] = elapsed_s(begun, std::chrono::steady_clock::now());
  if (crowded()) trial.remarks.push_back("more than half of the local ports were still in TIME_WAIT");
}

json TrialRunner::profile(const Cell& cell, ServerProcess& server, double warmup_s) {
  json profile = {{"unavailable", json::object()}};
  const double watched_s = std::max(spec_.duration_s, least_profile_s);
  const std::vector<pid_t> processes = SideProbe(server.group(), {}).processes();
  const auto under_load = [&](const auto& watch) -> std::optional<double> {
    LoadRun load(reactor_, load_command(cell, server.port(), spec_.seed, {warmup_s, watched_s + longest_perf_s}),
                 hosts_ != nullptr);
    if (!load.measured_from()) return std::nullopt;
    reactor_.wait_until([&] { return load.has_ended() || server.has_ended(); }, after_s(warmup_s + profile_margin_s));
    watch();
    load.end_early();
    const json report = parse_untrusted_or_discard(load.child().rest_of_output());
    return report.is_object() ? optional_number(report, "replies_per_s") : std::nullopt;
  };
  under_load([&] { sample_stacks(reactor_, processes, watched_s, launcher_.scratch(), profile); });
  const auto replies_per_s =
      under_load([&] { count_system_calls(reactor_, processes, watched_s, launcher_.scratch(), profile); });
  profile["system_calls_per_reply"] = nullptr;
  if (replies_per_s && *replies_per_s > 0 && profile["system_calls_per_s"].is_number())
    profile["system_calls_per_reply"] = profile["system_calls_per_s"].get<double>() / *replies_per_s;
  return profile;
}

std::vector<double> TrialRunner::pilot(const Cell& cell, std::uint32_t number, double length_s) {
  std::vector<double> levels;
  try {
    const Launcher::Ground ground = launcher_.lay(cell, false);
    const std::unique_ptr<ServerProcess> server = launcher_.start(cell, ground);
    LoadRun load(reactor_, load_command(cell, server->port(), spec_.seed + number, {0, length_s}), hosts_ != nullptr);
    if (!load.measured_from()) return {};
    std::optional<std::pair<SteadyTime, double>> last;
    for (std::size_t step = 0; step <= pilot_spans; ++step) {
      if (reactor_.wait_until([&] { return load.has_ended() || server->has_ended(); },
                              load.at(static_cast<double>(step) / pilot_spans)))
        break;
      const auto bytes = bytes_sent();
      if (!bytes) return {};
      const SteadyTime now = std::chrono::steady_clock::now();
      if (last) levels.push_back((*bytes - last->second) / std::max(1e-6, elapsed_s(last->first, now)));
      last = {now, *bytes};
    }
  } catch (const StartError&) {
    return {};  // the trials will say why
  }
  return levels;
}

SoakRecord TrialRunner::soak(const Cell& cell, double length_s) {
  constexpr int looks = 60;
  SoakRecord record;
  const Launcher::Ground ground = launcher_.lay(cell, false);
  const std::unique_ptr<ServerProcess> server = launcher_.start(cell, ground);
  LoadRun load(reactor_, load_command(cell, server->port(), spec_.seed, {0, length_s}), hosts_ != nullptr);
  SideProbe probe(server->group(), placement_.server_processors);
  if (load.measured_from()) {
    for (int look = 1; look < looks; ++look) {
      if (reactor_.wait_until([&] { return load.has_ended() || server->has_ended(); },
                              load.at(static_cast<double>(look) / looks)))
        break;
      const SideUse use = probe.sample(true);
      record.samples.push_back({elapsed_s(load.at(0), use.at), static_cast<double>(use.proportional_bytes.value_or(0)),
                                static_cast<double>(use.descriptors.value_or(0)), static_cast<double>(use.tasks)});
    }
  }
  if (server->has_ended()) {
    record.failure = "the server " + server->exit_reason();
    return record;
  }
  if (!load.wait_for_end(after_s(spec_.timeout_s * 2 + 30)) || load.child().exit_status() != 0) {
    record.failure = "the client failed: " + last_line(load.child().errors());
    return record;
  }
  const json report = parse_untrusted_or_discard(load.child().rest_of_output());
  record.replies_per_s = report.is_object() ? optional_number(report, "replies_per_s").value_or(0) : 0;
  return record;
}

void TrialRunner::measure(const Cell& cell, Trial& trial, double warmup_s) {
  const Launcher::Ground ground = launcher_.lay(cell, false);
  std::unique_ptr<ServerProcess> started;
  try {
    started = launcher_.start(cell, ground);
  } catch (const StartError& error) {
    trial.failures.push_back(error.what());
    return;
  }
  ServerProcess& server = *started;
  json use = json::object();
  trial.evidence["ready"] = server.ready();
  measure_load(cell, server, trial, warmup_s, use);
  if (server.has_ended()) {
    trial.failures.push_back("the server " + server.exit_reason());
  } else if (spec_.profile && trial.failures.empty() && trial.key.block < profiled_trials) {
    trial.evidence["profile"] = profile(cell, server, warmup_s);
  }
  if (const std::string what = server.daemons(); !what.empty())
    trial.failures.push_back("the server " + what + ": its figures are missing");
  use["statistics"] = server.stop();
  if (!server.stopped_in_order()) use["stopped_by"] = "SIGKILL: it did not end in time after SIGTERM";
  trial.evidence["server"] = std::move(use);
  if (ground.disk) note_disk(ground.disk->stop(), trial);
}

// Whether all hosts came to the end. A lost one voids the trial, whose figures would be of another load.
bool TrialRunner::judge_hosts(LoadRun& load, bool in_time, Trial& trial) {
  trial.evidence["client_hosts"] = hosts_->names();
  if (in_time && load.child().exit_status() == 0) return true;
  const std::string said = in_time ? what_launcher_said(load.child().errors()) : "they did not end in time";
  load.child().stop();
  hosts_->clean_up();
  trial.void_causes.push_back("a client host was lost: " + said);
  return false;
}

void TrialRunner::measure_load(const Cell& cell, ServerProcess& server, Trial& trial, double warmup_s, json& use) {
  // The same seed for all cells of a block: they get the same requests.
  const std::uint64_t seed = spec_.seed * 1'000'003 + trial.key.block * 2 + (trial.key.phase == Phase::final ? 1 : 0);
  const TcpCounters tcp_before = read_tcp_counters();
  SideProbe server_side(server.group(), placement_.server_processors);
  const SideProbe everybody(0, used_processors(placement_));
  const bool pinned = !placement_.server_processors.empty() && !placement_.client_processors.empty();
  const auto machine_before = everybody.processors();
  const double own_before_s = measurement_cpu_s();
  const SteadyTime begun = std::chrono::steady_clock::now();

  Command client = load_command(cell, server.port(), seed, {warmup_s, spec_.duration_s});
  client.arguments.insert(client.arguments.end(), {"--hold", hold});
  LoadRun load(reactor_, client, hosts_ != nullptr);
  SideProbe client_side(load.child().pid(), placement_.client_processors);
  std::optional<Sample> first, second;
  std::vector<std::pair<SteadyTime, double>> sent;
  if (load.measured_from()) {
    // A server that dies leaves the client its errors: what it counts until its time is over is the trial's outcome.
    const SteadyTime end = load.at(1);
    const auto look = [&] {
      second = Sample{server_side.sample(true), client_side.sample(true), user_switches(server.group())};
      if (const auto& bytes = second->server.proportional_bytes)
        trial.figures[Metric::memory_bytes] = static_cast<double>(*bytes);
      if (const auto bytes = page_cache_bytes()) trial.figures[Metric::page_cache_bytes] = static_cast<double>(*bytes);
    };
    for (int step = 0; step <= spans; ++step) {
      if (reactor_.wait_until([&] { return load.has_ended(); }, load.at(static_cast<double>(step) / spans))) break;
      const SteadyTime now = std::min(std::chrono::steady_clock::now(), end);
      // What comes late to several spans has one reading for all of them; after the end nothing is sent.
      if (const auto bytes = bytes_sent(); bytes && (sent.empty() || now > sent.back().first))
        sent.emplace_back(now, *bytes);
      if (step == 0) first = Sample{server_side.sample(), client_side.sample(), user_switches(server.group())};
      if (step == last_sample_span && now < end) look();
    }
    // The client keeps its connections open, unused, until it is released: late is not too late.
    if (!second && !load.has_ended()) look();
    load.release();
  }
  const bool in_time = load.wait_for_end(after_s(warmup_s + spec_.duration_s + spec_.timeout_s * 2 + 30));
  if (pinned) {
    const double watched_s = elapsed_s(begun, std::chrono::steady_clock::now());
    // What clock ticks and the time between two readings leave open counts for others, which the tolerance covers.
    const double own_s = measurement_cpu_s() - own_before_s + 0.1 * spec_.duration_s;
    const double others_s = taken_by_others_s(machine_before, everybody.processors(), own_s);
    use["others_s"] = others_s;
    if (others_s > std::max(others_least_s, spec_.others * watched_s))
      trial.void_causes.push_back("other processes took the processors");
  }
  if (hosts_ && !server.has_ended() && !judge_hosts(load, in_time, trial)) return;
  if (!in_time) {
    trial.failures.push_back("the client did not end in time");
    return;
  }
  if (load.child().exit_status() != 0) {
    // Without a server there is no connection: the server is the cause.
    if (!server.has_ended()) trial.failures.push_back("the client failed: " + last_line(load.child().errors()));
    return;
  }
  json report = parse_untrusted(load.child().rest_of_output(), "the client's report");
  if (hosts_) note_ranks(report, trial);
  note_load(report, longest_allowed_ms(spec_), trial.figures);
  trial.counts = counts_of_report(report);
  trial.evidence["tcp"] = tcp_between(tcp_before, read_tcp_counters());
  // What a server that died used since the first sample is in no second one: its figures would be far too good.
  const bool sampled = first && second && first->server.at < load.at(latest_first_sample) && !server.has_ended();
  if (sampled) {
    const bool after_end = second->server.at > load.at(1);
    const Sampled between{load.measured_between_s(first->server.at, second->server.at),
                          elapsed_s(first->server.at, second->server.at),
                          after_end ? optional_number(report, "in_flight_mean").value_or(0) : 0};
    note_use(*first, *second, between, trial, use);
    use.update(use_between(first->server, second->server));
    if (!hosts_) trial.evidence["client"] = use_between(first->client, second->client);
    if (first->server.descriptors && second->server.descriptors) {
      // A client accounts for its connection and for a helper or a pipe that serves it, a file for one descriptor.
      const std::uint64_t before = *first->server.descriptors, after = *second->server.descriptors;
      if (after > before + (2 * cell.connections + file_sets_.of(cell).workload.files.size()) * cell.workers)
        trial.failures.push_back(fmt::format("the server leaks descriptors: {}, then {}", before, after));
    }
  } else if (!server.has_ended()) {
    trial.remarks.push_back(no_cpu_figures);
  }
  std::vector<double> levels;
  for (std::size_t i = 1; i < sent.size(); ++i)
    levels.push_back((sent[i].second - sent[i - 1].second) /
                     std::max(1e-6, elapsed_s(sent[i - 1].first, sent[i].first)));
  trial.evidence["warmup"] = {{"seconds", warmup_s}, {"bytes_per_s", levels}};
  if (cell.load_model == "closed") trial.drift = drift_of(levels);
  trial.evidence["load"] = std::move(report);
}

}  // namespace bakeoff
