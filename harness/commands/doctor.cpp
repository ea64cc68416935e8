// bakeoff doctor: the findings, and the noise floor measured.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/base/errors.h"
#include "harness/commands/command_line.h"
#include "harness/commands/table_output.h"
#include "harness/machine/doctor.h"
#include "harness/plan/plan.h"
#include "harness/run/experiment.h"
#include "harness/run/trial_runner.h"
#include "results/statistics.h"

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
constexpr std::uint32_t noise_pairs = 40;  // short trials, many pairs: as compare takes them

struct Noise {
  double floor = 0;  // half the interval of the ratio of equal servers after noise_pairs pairs
  double fastest_over_slowest = 1;
};

Noise measure_noise(Reactor& reactor) {
  const Specification spec = parse_specification(noise_experiment, "doctor.toml");
  Programs programs(reactor);
  programs.check(spec);
  const std::vector<Cell> cells = plan_cells(spec, workload_name(spec));
  const FileSets file_sets(reactor, spec, cells);
  TrialRunner runner(programs, spec, file_sets, place(spec));
  Progress progress(2 * noise_pairs, expected_trial_s(spec));
  std::vector<double> rates, differences;
  for (std::uint32_t block = 0; block < noise_pairs; ++block) {
    std::optional<double> before;
    for (int i = 0; i < 2; ++i) {
      progress.begin("noise");
      const Trial trial = runner.run(cells.front(), {Phase::sweep, block, cells.front().id}, 0, spec.warmup_s);
      progress.end("noise");
      const auto& rate = trial.figures[Metric::replies_per_s];
      if (!rate || *rate <= 0) continue;
      rates.push_back(*rate);
      if (before) differences.push_back(std::log(*rate / *before));
      before = rate;
    }
  }
  if (differences.size() < noise_pairs / 2)
    throw StartError("too few trials had a rate, so the noise floor is not known; see: bakeoff run quick");
  const Location location = location_of(differences, 0.025, 0.025);
  const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
  return {(std::expm1(*location.upper) - std::expm1(*location.lower)) / 2, *most / *least};
}

}  // namespace

int doctor_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  bool fast = false;
  options.add_options()("fast", po::bool_switch(&fast), "do not measure the noise floor, which takes twenty seconds");
  po::variables_map given;
  if (!read_options("doctor", arguments, options, 0, given)) return exit_status::fine;

  const bool colour = style_of_stdout(false).colour;
  Severity worst = Severity::fine;
  const auto tell = [&](const Finding& finding) {
    constexpr const char* marks[] = {"fine  ", "limits", "SPOILS"};
    constexpr const char* colours[] = {"\x1b[32m", "\x1b[33m", "\x1b[31m"};
    const auto severity = static_cast<std::size_t>(finding.severity);
    std::printf("%s%s%s  %s\n", colour ? colours[severity] : "", marks[severity], colour ? "\x1b[0m" : "",
                finding.what.c_str());
    if (!finding.mend.empty()) std::printf("          mend: %s\n", finding.mend.c_str());
    std::fflush(stdout);
    worst = std::max(worst, finding.severity);
  };
  for (const Finding& finding : diagnose(examine_machine())) tell(finding);
  if (!fast) {
    const Noise noise = measure_noise(reactor);
    const std::string text = fmt::format(
        "noise floor: equal servers differ by {:.1f} % over {} pairs of trials of 0.1 s, the fastest from the slowest "
        "trial by {:.0f} %",
        noise.floor * 100, noise_pairs, (noise.fastest_over_slowest - 1) * 100);
    constexpr double useful = 0.05;
    const bool noisy = noise.floor > useful;
    tell({noisy ? Severity::spoils : Severity::fine, text,
          noisy ? "stop what else runs; many short trials differ less than few long ones" : ""});
  }
  return worst == Severity::spoils ? exit_status::policy_failed : exit_status::fine;
}

}  // namespace bakeoff
