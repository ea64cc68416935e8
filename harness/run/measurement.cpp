#include "harness/run/measurement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/stats_region.h"
#include "harness/run/load_report.h"

namespace bakeoff {
namespace {

using nlohmann::json;

// The measured time is cut into so many spans to see whether throughput still changes.
constexpr int spans = 10;
constexpr int last_sample_span = 9;
constexpr double latest_first_sample = 0.75;  // of the measured time: later, too little of it is left
constexpr double others_least_s = 0.05;       // /proc/stat counts clock ticks: what others took below that is rounding
constexpr double own_turn_margin_s = 30;

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

// What lies between two samples.
struct Sampled {
  double measured_s;    // of the measured time
  double wall_s;        // more, when the second sample came after its end: nothing was asked for meanwhile
  double late_replies;  // requests that were under way at the end, and were served before the second sample
};

// What lies between two readings of the same processors, on top of what is there.
void add_between(const ProcessorSeconds& from, const ProcessorSeconds& to, ProcessorSeconds& sum) {
  for (const auto& [state, seconds] : to) {
    if (const auto before = from.find(state); before != from.end()) sum[state] += seconds - before->second;
  }
}

double change_of(const SideUse& from, const SideUse& to, const std::string& state) {
  const auto a = from.processors_s.find(state), b = to.processors_s.find(state);
  return a == from.processors_s.end() || b == to.processors_s.end() ? 0 : b->second - a->second;
}

// What the server used between two samples.
void note_use(const Measurement::Sample& from, const Measurement::Sample& to, const Sampled& sampled, Trial& trial,
              json& evidence) {
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

Command held(Command client) {
  client.arguments.insert(client.arguments.end(), {"--hold", longest_hold});
  return client;
}

}  // namespace

Measurement::Measurement(const Setting& setting, ServerProcess& server, Command client, LoadTimes times)
    : setting_(setting),
      server_(server),
      times_(times),
      tcp_before_(read_tcp_counters()),
      server_side_(server.group(), setting.placement.server_processors),
      everybody_(0, used_processors(setting.placement)),
      machine_before_(everybody_.processors()),
      own_before_s_(measurement_cpu_s()),
      begun_(std::chrono::steady_clock::now()),
      load_(setting.reactor, held(std::move(client)), setting.hosts != nullptr),
      client_side_(load_.child().pid(), setting.placement.client_processors) {}

Measurement::Sample Measurement::sample(bool memory) {
  return {server_side_.sample(memory), client_side_.sample(memory), user_switches(server_.group())};
}

void Measurement::sample_last() {
  second_ = sample(true);
  if (const auto& bytes = second_->server.proportional_bytes) memory_bytes_ = static_cast<double>(*bytes);
  if (const auto bytes = page_cache_bytes()) page_cache_bytes_ = static_cast<double>(*bytes);
}

void Measurement::run() {
  if (!load_.measured_from()) return;
  std::vector<std::pair<SteadyTime, double>> sent;
  // A server that dies leaves the client its errors: what it counts until its time is over is the trial's outcome.
  const SteadyTime end = load_.at(1);
  for (int step = 0; step <= spans; ++step) {
    if (setting_.reactor.wait_until([&] { return load_.has_ended(); }, load_.at(static_cast<double>(step) / spans)))
      break;
    const SteadyTime now = std::min(std::chrono::steady_clock::now(), end);
    // What comes late to several spans has one reading for all of them; after the end nothing is sent.
    if (const auto bytes = bytes_sent(); bytes && (sent.empty() || now > sent.back().first))
      sent.emplace_back(now, *bytes);
    if (step == 0) first_ = sample(false);
    if (step == last_sample_span && now < end) sample_last();
  }
  // The client keeps its connections open, unused, until it is released: late is not too late.
  if (!second_ && !load_.has_ended()) sample_last();
  for (std::size_t i = 1; i < sent.size(); ++i)
    levels_.push_back((sent[i].second - sent[i - 1].second) /
                      std::max(1e-6, elapsed_s(sent[i - 1].first, sent[i].first)));
}

void Measurement::open() { out_of_step_ = !load_.open(); }

void Measurement::turn() {
  if (out_of_step_) return;
  const bool is_warm_up = turns_done_ == 0;
  const ProcessorSeconds server_before = server_side_.processors(), client_before = client_side_.processors();
  const auto bytes_before = bytes_sent();
  const SteadyTime from = std::chrono::steady_clock::now();
  // A server that never answers keeps the client until its time-outs.
  out_of_step_ = !load_.turn((is_warm_up ? times_.warmup_s : times_.duration_s / times_.turns) +
                             setting_.spec.timeout_s * 2 + own_turn_margin_s);
  if (out_of_step_) return;
  const SteadyTime to = std::chrono::steady_clock::now();
  ++turns_done_;
  if (is_warm_up) {
    first_ = sample(false);
    return;
  }
  if (const auto bytes = bytes_sent(); bytes && bytes_before)
    levels_.push_back((*bytes - *bytes_before) / std::max(1e-6, elapsed_s(from, to)));
  add_between(server_before, server_side_.processors(), server_processors_s_);
  add_between(client_before, client_side_.processors(), client_processors_s_);
  if (turns_done_ == times_.turns + 1) sample_last();
}

void Measurement::join_turns(double measured_s) {
  const auto move = [&](SideUse& from, SideUse& to, const ProcessorSeconds& used) {
    to.at = from.at + std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(measured_s));
    to.processors_s = from.processors_s;
    for (const auto& [state, seconds] : used) to.processors_s[state] += seconds;
  };
  move(first_->server, second_->server, server_processors_s_);
  move(first_->client, second_->client, client_processors_s_);
}

// Whether all hosts came to the end. A lost one voids the trial, whose figures would be of another load.
bool Measurement::judge_hosts(bool in_time, Trial& trial) {
  trial.evidence["client_hosts"] = setting_.hosts->names();
  if (in_time && load_.child().exit_status() == 0) return true;
  const std::string said = in_time ? what_launcher_said(load_.child().errors()) : "they did not end in time";
  load_.child().stop();
  setting_.hosts->clean_up();
  trial.void_causes.push_back("a client host was lost: " + said);
  return false;
}

void Measurement::note_others(Trial& trial, json& use) const {
  const Placement& placement = setting_.placement;
  if (placement.server_processors.empty() || placement.client_processors.empty()) return;
  const double watched_s = elapsed_s(begun_, std::chrono::steady_clock::now());
  // What clock ticks and the time between two readings leave open counts for others, which the tolerance covers.
  const double own_s = measurement_cpu_s() - own_before_s_ + 0.1 * setting_.spec.duration_s;
  const double others_s = taken_by_others_s(machine_before_, everybody_.processors(), own_s);
  use["others_s"] = others_s;
  if (others_s > std::max(others_least_s, setting_.spec.others * watched_s))
    trial.void_causes.push_back("other processes took the processors");
}

void Measurement::conclude(const Cell& cell, std::size_t files, Trial& trial, json& use) {
  const bool in_turns = times_.turns != 0;
  if (memory_bytes_) trial.figures[Metric::memory_bytes] = *memory_bytes_;
  if (page_cache_bytes_) trial.figures[Metric::page_cache_bytes] = *page_cache_bytes_;
  if (!load_.has_ended()) load_.release();
  const bool in_time =
      !(in_turns && out_of_step_ && !load_.has_ended()) &&
      load_.wait_for_end(after_s(times_.warmup_s + times_.duration_s + setting_.spec.timeout_s * 2 + 30));
  note_others(trial, use);
  if (setting_.hosts != nullptr && !server_.has_ended() && !judge_hosts(in_time, trial)) return;
  if (!in_time) {
    trial.failures.push_back("the client did not end in time");
    return;
  }
  if (load_.child().exit_status() != 0) {
    // Without a server there is no connection: the server is the cause.
    if (!server_.has_ended()) trial.failures.push_back("the client failed: " + last_line(load_.child().errors()));
    return;
  }
  json report = parse_untrusted(load_.child().rest_of_output(), "the client's report");
  if (setting_.hosts != nullptr) note_ranks(report, trial);
  note_load(report, longest_allowed_ms(setting_.spec), trial.figures);
  trial.counts = counts_of_report(report);
  trial.evidence["tcp"] = tcp_between(tcp_before_, read_tcp_counters());
  // What a server that died used since the first sample is in no second one: its figures would be far too good.
  const bool sampled =
      first_ && second_ && !server_.has_ended() && (in_turns || first_->server.at < load_.at(latest_first_sample));
  if (sampled) {
    Sampled between{};
    if (in_turns) {
      const double measured_s = trial.counts->measured_s;
      join_turns(measured_s);
      between = {measured_s, measured_s, 0};
    } else {
      const bool after_end = second_->server.at > load_.at(1);
      between = {load_.measured_between_s(first_->server.at, second_->server.at),
                 elapsed_s(first_->server.at, second_->server.at),
                 after_end ? optional_number(report, "in_flight_mean").value_or(0) : 0};
    }
    note_use(*first_, *second_, between, trial, use);
    if (in_turns) {
      // Clock ticks are too coarse for turns; the server's own time on its processors is not.
      const std::size_t processors = std::max<std::size_t>(1, setting_.placement.server_processors.size());
      trial.counts->server_busy_s = std::min(
          between.measured_s, (second_->server.cpu_s - first_->server.cpu_s) / static_cast<double>(processors));
      trial.counts->server_sampled_s = between.measured_s;
    }
    use.update(use_between(first_->server, second_->server));
    if (setting_.hosts == nullptr) trial.evidence["client"] = use_between(first_->client, second_->client);
    if (first_->server.descriptors && second_->server.descriptors) {
      // A client accounts for its connection and for a helper or a pipe that serves it, a file for one descriptor.
      const std::uint64_t before = *first_->server.descriptors, after = *second_->server.descriptors;
      if (after > before + (2 * cell.connections + files) * cell.workers)
        trial.failures.push_back(fmt::format("the server leaks descriptors: {}, then {}", before, after));
    }
  } else if (!server_.has_ended()) {
    trial.remarks.push_back(no_cpu_figures);
  }
  trial.evidence["warmup"] = {{"seconds", times_.warmup_s}, {"bytes_per_s", levels_}};
  if (in_turns) trial.evidence["turns"] = times_.turns;
  if (cell.load_model == "closed") trial.drift = drift_of(levels_);
  trial.evidence["load"] = std::move(report);
}

}  // namespace bakeoff
