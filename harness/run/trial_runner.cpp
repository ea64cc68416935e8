#include "harness/run/trial_runner.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/ground/page_cache.h"
#include "harness/machine/evidence.h"
#include "harness/machine/profile.h"
#include "harness/plan/plan.h"
#include "harness/run/load_report.h"
#include "harness/run/turns.h"

namespace bakeoff {
namespace {

using nlohmann::json;

constexpr double longest_time_wait_s = 65;    // the kernel forgets a connection after 60 s
constexpr std::uint32_t profiled_trials = 3;  // of a cell in each phase: a breakdown hardly differs, and takes long
constexpr double least_profile_s = 1;
constexpr double profile_margin_s = 0.3;  // until connections are open
constexpr double longest_perf_s = 120;    // for perf to attach and detach, which on a busy machine takes its time

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

Trial new_trial(const TrialKey& key, std::uint32_t attempt) {
  Trial trial;
  trial.key = key;
  trial.attempt = attempt;
  return trial;
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

double TrialRunner::ceiling_bytes(const Cell& cell) const { return file_sets_.of(cell).workload.mean_transfer_bytes(); }

Command TrialRunner::load_command(const Cell& cell, std::uint16_t port, std::uint64_t seed, LoadTimes times) const {
  Command command = bakeoff::load_command(programs_, spec_, cell, port, seed, times);
  command.processors = placement_.client_processors;
  return hosts_ ? hosts_->as_ranks(command) : command;
}

// What goes wrong on the way becomes a part of the trial.
void TrialRunner::guarded(Trial& trial, const std::function<void()>& step) {
  try {
    step();
  } catch (const StartError& error) {
    trial.void_causes.push_back(std::string("the harness failed: ") + error.what());
  } catch (const json::exception& error) {
    trial.failures.push_back("the client's report cannot be read: " + plain_words(error));
  } catch (const UsageError& error) {
    trial.failures.push_back(error.what());
  }
}

Trial TrialRunner::run(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s) {
  if (hosts_) hosts_->make_ready();
  Trial trial = new_trial(key, attempt);
  CeilingReading before, after;
  guarded(trial, [&] { before = ceilings_.before(ceiling_bytes(cell)); });
  trial.started = utc_now();
  guarded(trial, [&] {
    prepare_machine(cell, trial);
    Serving serving{launcher_.lay(cell, false), nullptr, nullptr};
    if (!start_server(cell, serving, trial)) return;
    measure(cell, serving, trial, {warmup_s, spec_.duration_s});
    serving.measurement->run();
    conclude(cell, serving, trial, warmup_s);
  });
  derive_figures(trial.figures);
  guarded(trial, [&] { after = ceilings_.after(ceiling_bytes(cell)); });
  judge_ceiling(cell, before, after, trial);
  return trial;
}

class TrialRunner::InTurns : public TrialInTurns {
 public:
  InTurns(TrialRunner& runner, const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s)
      : runner_(runner), cell_(cell), trial_(new_trial(key, attempt)), warmup_s_(warmup_s) {
    trial_.started = utc_now();
    runner.guarded(trial_, [&] {
      runner.prepare_machine(cell_, trial_);
      serving_ = {runner.launcher_.lay(cell_, false), nullptr, nullptr};
      if (runner.start_server(cell_, serving_, trial_)) {
        runner.measure(cell_, serving_, trial_, {warmup_s, runner.spec_.duration_s, turns_of(runner.spec_)});
        serving_.measurement->open();
      }
    });
    serving_.ground.inside.reset();  // others are started in networks of their own
  }

  void turn() override {
    const Network::Inside inside(serving_.ground.network.get());
    if (serving_.measurement) runner_.guarded(trial_, [&] { serving_.measurement->turn(); });
  }

  Trial finish(const CeilingReading* ceiling) override {
    const Network::Inside inside(serving_.ground.network.get());
    if (serving_.measurement) runner_.guarded(trial_, [&] { runner_.conclude(cell_, serving_, trial_, warmup_s_); });
    derive_figures(trial_.figures);
    if (ceiling != nullptr) runner_.judge_ceiling(cell_, *ceiling, *ceiling, trial_);
    return std::move(trial_);
  }

 private:
  TrialRunner& runner_;
  Cell cell_;
  Trial trial_;
  double warmup_s_;
  Serving serving_;
};

std::unique_ptr<TrialInTurns> TrialRunner::begin(const Cell& cell, const TrialKey& key, std::uint32_t attempt,
                                                 double warmup_s) {
  return std::make_unique<InTurns>(*this, cell, key, attempt, warmup_s);
}

std::unique_ptr<CeilingInTurns> TrialRunner::begin_ceiling(const Cell& cell, double warmup_s) {
  return ceilings_.begin(ceiling_bytes(cell), {warmup_s, spec_.duration_s, turns_of(spec_)});
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

// False when it does not start: that is the trial's outcome.
bool TrialRunner::start_server(const Cell& cell, Serving& serving, Trial& trial) {
  try {
    serving.server = launcher_.start(cell, serving.ground);
  } catch (const StartError& error) {
    trial.failures.push_back(error.what());
    return false;
  }
  trial.evidence["ready"] = serving.server->ready();
  return true;
}

void TrialRunner::measure(const Cell& cell, Serving& serving, const Trial& trial, LoadTimes times) {
  // The same seed for all cells of a block: they get the same requests.
  const std::uint64_t seed = spec_.seed * 1'000'003 + trial.key.block * 2 + (trial.key.phase == Phase::final ? 1 : 0);
  serving.measurement =
      std::make_unique<Measurement>(Measurement::Setting{reactor_, spec_, placement_, hosts_.get()}, *serving.server,
                                    load_command(cell, serving.server->port(), seed, times), times);
}

void TrialRunner::conclude(const Cell& cell, Serving& serving, Trial& trial, double warmup_s) {
  ServerProcess& server = *serving.server;
  json use = json::object();
  serving.measurement->conclude(cell, file_sets_.of(cell).workload.files.size(), trial, use);
  serving.measurement.reset();
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
  if (serving.ground.disk) note_disk(serving.ground.disk->stop(), trial);
}

}  // namespace bakeoff
