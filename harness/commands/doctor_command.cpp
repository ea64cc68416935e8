// bakeoff doctor: the findings, and the noise floor measured.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/base/errors.h"
#include "harness/commands/command_line.h"
#include "harness/machine/doctor.h"
#include "harness/run/experiment.h"
#include "harness/paired_trials.h"
#include "harness/plan/plan.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

// One event loop and one small file: no server is steadier, so this is what the machine adds.
constexpr const char* noise_experiment = R"(
[workload]
name = "single-file"
set = { size_bytes = "10KB" }
[load]
connections = 64
warmup = "50ms"
duration = "100ms"
discard = true
[trials]
ceiling = 0
[validity]
client_busy = 1
[options]
congestion = "cubic"
[[server]]
architecture = "sped"
)";
constexpr std::uint32_t noise_pairs = 20;  // short trials, many pairs: as compare's users are told to take them

struct Noise {
  double floor = 0;  // the least change of the rate that this machine can show
  double fastest_over_slowest = 1;
};

Noise measure_noise(Reactor& reactor) {
  const Specification spec = parse_specification(noise_experiment, "doctor.toml");
  Programs programs(reactor);
  programs.check(spec);
  const std::vector<Cell> cells = plan_cells(spec, load_workload(spec.workload, spec.workload_overrides).name);
  const Materials materials(reactor, spec, cells);
  TrialRunner runner(programs, spec, materials, place(spec));
  Progress progress(noise_pairs * PairedTrials::trials_per_cell, expected_trial_s(spec));
  PairedTrials trials(cells, runner, runner, *find_metric("replies_per_s"), spec.seed);
  const PairedTrials::Ratios ratios = trials.run(noise_pairs, progress);
  double least = HUGE_VAL, most = 0;
  for (const nlohmann::json& trial : ratios.trials) {
    if (!trial.at("figure").is_number()) continue;
    least = std::min(least, trial.at("figure").get<double>());
    most = std::max(most, trial.at("figure").get<double>());
  }
  if (ratios.self.size() < 2)
    throw StartError("no trial counted, so the noise floor is not known; see: bakeoff run quick");
  return {noise_floor(ratios.self, 0), most / least};
}

}  // namespace

int doctor_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  bool fast = false;
  options.add_options()("fast", po::bool_switch(&fast), "do not measure the noise floor, which takes twenty seconds");
  po::variables_map given;
  if (!read_options("doctor", arguments, options, 0, given)) return exit_status::fine;

  const bool colour = may_colour();
  Gravity worst = Gravity::fine;
  const auto tell = [&](const Finding& finding) {
    constexpr const char* marks[] = {"fine  ", "limits", "SPOILS"};
    constexpr const char* colours[] = {"\x1b[32m", "\x1b[33m", "\x1b[31m"};
    const auto gravity = static_cast<std::size_t>(finding.gravity);
    std::fprintf(stderr, "%s%s%s  %s\n", colour ? colours[gravity] : "", marks[gravity], colour ? "\x1b[0m" : "",
                 finding.what.c_str());
    if (!finding.mend.empty()) std::fprintf(stderr, "          mend: %s\n", finding.mend.c_str());
    worst = std::max(worst, finding.gravity);
  };
  for (const Finding& finding : diagnose(examine_machine())) tell(finding);
  if (!fast) {
    const Noise noise = measure_noise(reactor);
    char text[200];
    std::snprintf(text, sizeof text,
                  "noise floor: equal servers differ by %.1f %% over %u pairs of trials of 0.1 s, the fastest from the "
                  "slowest trial by %.0f %%",
                  noise.floor * 100, noise_pairs, (noise.fastest_over_slowest - 1) * 100);
    constexpr double useful = 0.05;
    const bool noisy = noise.floor > useful;
    tell({noisy ? Gravity::spoils : Gravity::fine, text,
          noisy ? "stop what else runs; more --pairs lower it, of short trials rather than long ones" : ""});
  }
  return worst == Gravity::spoils ? exit_status::policy_failed : exit_status::fine;
}

}  // namespace bakeoff
