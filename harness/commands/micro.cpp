// bakeoff micro NAME: each trial in a fresh process, the trials of all cells interleaved.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>

#include "core/base/errors.h"
#include "core/base/units.h"
#include "core/base/untrusted.h"
#include "core/toml/strict_toml.h"
#include "harness/commands/command_line.h"
#include "harness/commands/micro_experiments.h"
#include "harness/commands/table_output.h"
#include "harness/machine/environment.h"
#include "harness/plan/plan.h"
#include "harness/run/experiment.h"
#include "harness/run/progress.h"
#include "results/histogram.h"
#include "results/sha256.h"
#include "results/tables.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;
using nlohmann::json;

constexpr double warmup_s = 0.1;
constexpr double task_megabits = 8192 * 8 * 1e-6;
constexpr const char* program = "bakeoff-micro";

const std::vector<std::uint32_t> to_a_thousand = {1, 4, 16, 64, 256, 1024};

bool makes_orders(const MicroExperiment& experiment) { return experiment.name == "boss-worker"; }

std::vector<Cell> cells_of(const MicroExperiment& experiment) {
  std::vector<Cell> cells;
  for (const std::string& system : experiment.systems) {
    for (const std::uint32_t tasks : experiment.tasks) {
      Cell cell;
      cell.id = system + "/tasks=" + std::to_string(tasks);
      cell.server = system;
      cell.architecture = system;
      cell.workload = micro_workload + experiment.workload;
      cell.connections = tasks;
      cell.workers = makes_orders(experiment) ? 6 : system == "event-loop" ? 1 : tasks;
      cells.push_back(std::move(cell));
    }
  }
  return cells;
}

void note_figures(const json& told, bool orders, Figures& figures) {
  const double duration_s = told.at("duration_s"), done = told.at("done");
  if (done <= 0 || duration_s <= 0) return;
  const Histogram latency = Histogram::from_json(nlohmann::ordered_json(told.at("histogram")));
  figures[Metric::replies_per_s] = done / duration_s;
  figures[Metric::latency_mean_ms] = latency.mean_ns() * 1e-6;
  figures[Metric::latency_p50_ms] = static_cast<double>(latency.percentile_ns(0.5)) * 1e-6;
  figures[Metric::latency_p90_ms] = static_cast<double>(latency.percentile_ns(0.9)) * 1e-6;
  figures[Metric::latency_p99_ms] = static_cast<double>(latency.percentile_ns(0.99)) * 1e-6;
  figures[Metric::latency_p999_ms] = static_cast<double>(latency.percentile_ns(0.999)) * 1e-6;
  figures[Metric::latency_max_ms] = static_cast<double>(latency.max_ns()) * 1e-6;
  if (orders) return;  // an order is neither bytes nor processor time
  figures[Metric::throughput_mbps] = done / duration_s * task_megabits;
  figures[Metric::server_cpu_us_per_reply] = told.at("cpu_s").get<double>() / done * 1e6;
  figures[Metric::context_switches_per_s] =
      (told.at("kernel_switches").get<double>() + told.at("user_switches").get<double>()) / duration_s;
}

Trial run_trial(Programs& programs, const MicroExperiment& experiment, const Cell& cell, const TrialKey& key,
                const std::string& duration) {
  Trial trial;
  trial.key = key;
  trial.attempt = 1;
  trial.started = utc_now();
  Command command{{programs.find(program).string(), cell.server}, {}};
  if (!makes_orders(experiment)) {
    const std::string warmup = std::to_string(static_cast<int>(warmup_s * 1000)) + "ms";
    command.arguments.insert(command.arguments.end(),
                             {"--tasks", std::to_string(cell.connections), "--duration", duration, "--warmup", warmup});
  }
  try {
    Child child(programs.reactor(), command);
    const double patience_s = static_cast<double>(parse_duration_ms(duration)) * 1e-3 + 60;
    if (!child.wait_for_end(after_s(patience_s))) {
      trial.failures.push_back("it did not end in time");
    } else if (child.exit_status() != 0) {
      trial.failures.push_back(child.errors().empty() ? child.how_it_ended()
                                                      : child.errors().substr(0, child.errors().find('\n')));
    } else {
      json told = parse_untrusted(child.rest_of_output(), "its report");
      note_figures(told, makes_orders(experiment), trial.figures);
      if (!trial.figures[Metric::replies_per_s]) trial.failures.push_back("not one task was done");
      trial.evidence["load"] = std::move(told);
    }
  } catch (const StartError& error) {
    trial.failures.push_back(error.what());
  } catch (const UsageError& error) {
    trial.failures.push_back(error.what());
  } catch (const json::exception& error) {
    trial.failures.push_back("what it printed cannot be read: " + plain_words(error));
  }
  return trial;
}

const MicroExperiment& find_experiment(const std::string& name) {
  std::vector<std::string> names;
  for (const MicroExperiment& experiment : micro_experiments()) {
    if (experiment.name == name) return experiment;
    names.push_back(experiment.name);
  }
  const std::string near = nearest_word(name, names);
  throw UsageError("there is no micro-experiment `" + name + "`; " +
                   (near.empty() ? "see bakeoff list micro" : "did you mean `" + near + "`?"));
}

}  // namespace

const std::vector<MicroExperiment>& micro_experiments() {
  static const std::vector<MicroExperiment> experiments = {
      {"seda-threads",
       "preallocated kernel threads, 1 to 1024, each task an 8 KB read of one cached file (Welsh 2001, figure 2)",
       "Throughput rises with the first threads, then falls as their number grows large; response time grows without "
       "bound.",
       "tasks/s from 64 threads on: today's kernels lose less by switching than Linux 2.2 did; and p99 against the "
       "mean, which no event loop pulls so far apart.",
       "8 KB cached read",
       {"kernel-threads"},
       to_a_thousand},
      {"seda-events",
       "one event loop, 1 to 16384 queued tasks, the same reads (Welsh 2001, figure 4)",
       "Throughput stays constant across a huge range of load; the latency of each task increases linearly.",
       "tasks/s the same in all rows, and mean ms growing as the number of tasks does.",
       "8 KB cached read",
       {"event-loop"},
       {1, 4, 16, 64, 256, 1024, 4096, 16384}},
      {"hotos-threads",
       "user-level threads to 100,000 against one event loop, the same reads (von Behren 2003, figure 2)",
       "Threads without operations that cost more the more threads there are match events up to 100,000 threads.",
       "tasks/s of both systems in the rows of equal tasks; where the threads' stacks no longer fit the processor's "
       "caches, they fall behind.",
       "8 KB cached read",
       {"user-threads", "event-loop"},
       {1, 10, 100, 1000, 10'000, 100'000}},
      {"boss-worker",
       "eleven toy orders of six 20 ms steps by six workers: boss and workers, or a pipeline (lecture notes on Flash)",
       "Boss-worker: 360 ms in all, 196 ms an order. Pipeline: 320 ms in all, 220 ms an order.",
       "max ms (the last order: the time in all) and mean ms (an order's): which way is better depends on which of the "
       "two is asked for.",
       "toy orders",
       {"boss-worker", "pipeline"},
       {11}},
  };
  return experiments;
}

int micro_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  std::uint32_t trials = 5;
  std::string duration = "500ms", out;
  options.add_options()("trials", po::value(&trials)->default_value(trials), "of each cell, interleaved; 1 to 100")(
      "duration", po::value(&duration)->default_value(duration), "what a trial measures, after 100 ms of warm-up")(
      "out", po::value(&out), "the run's folder (default: runs/micro-NAME-DATE-TIME)");
  po::variables_map given;
  if (!read_options("micro", arguments, options, 1, given)) return exit_status::fine;
  const MicroExperiment& experiment = find_experiment(word(given, 0, "micro", "a micro-experiment's name"));
  if (trials < 1 || trials > 100) throw UsageError("bakeoff micro: --trials must be from 1 to 100");
  const std::int64_t duration_ms = parse_duration_ms(duration);
  if (duration_ms < 1 || duration_ms > 600'000) throw UsageError("bakeoff micro: --duration must be from 1ms to 10m");
  if (makes_orders(experiment) && given.count("duration") != 0 && !given["duration"].defaulted()) {
    throw UsageError(
        "bakeoff micro: --duration means nothing to boss-worker, which ends with the last order; leave it out");
  }

  Programs programs(reactor);
  Specification spec;
  spec.name = "micro-" + experiment.name;
  spec.source_text = "# What this folder is a run of:\n#     bakeoff micro " + experiment.name + " --trials " +
                     std::to_string(trials) + (makes_orders(experiment) ? "" : " --duration " + duration) + "\n";
  spec.sha256 = sha256(spec.source_text);
  ServerSpec itself;
  itself.name = itself.architecture = program;
  spec.network.own = false;        // there is no network
  spec.servers.push_back(itself);  // for its hash in the environment

  const std::vector<Cell> cells = cells_of(experiment);
  std::map<std::string, const Cell*> by_id;
  std::vector<std::string> ids;
  for (const Cell& cell : cells) {
    by_id[cell.id] = &cell;
    ids.push_back(cell.id);
  }
  const json environment = capture_environment(spec, programs, Placement{});
  RunFolder folder = RunFolder::create(out.empty() ? fresh_folder(spec.name) : std::filesystem::path(out));
  folder.write("spec.toml", spec.source_text);
  folder.write("environment.json", json_text(environment, 2) + "\n");

  const double trial_s = makes_orders(experiment) ? 0.4 : warmup_s + static_cast<double>(duration_ms) * 1e-3 + 0.1;
  std::vector<Trial> measured;
  {
    Progress progress(cells.size() * trials, trial_s);
    for (const TrialKey& key : interleave(ids, Phase::sweep, trials, spec.seed)) {
      progress.begin(key.cell_id);
      const Trial trial = run_trial(programs, experiment, *by_id.at(key.cell_id), key, duration);
      folder.append(trial);
      measured.push_back(lean(trial));
      progress.end(key.cell_id + (measured.back().failures.empty() ? "" : ": " + measured.back().failures.front()));
    }
  }
  const ExperimentResult result = make_result(spec, cells, measured, {}, environment);
  const std::string table = scaling(result);
  folder.write("result.json", json_text(to_json(result), 2) + "\n");
  folder.write("tables.txt", table);
  std::printf("\n%s\nThe paper: %s\nLook for: %s\n\n%s", experiment.title.c_str(), experiment.found.c_str(),
              experiment.look_for.c_str(), scaling(result, style_of_stdout(false)).c_str());
  std::fflush(stdout);
  std::fprintf(stderr, "result: %s/result.json\n", folder.path().c_str());
  const bool all_valid =
      std::all_of(result.cells.begin(), result.cells.end(), [](const CellResult& cell) { return cell.valid; });
  return all_valid ? exit_status::fine : exit_status::policy_failed;
}

}  // namespace bakeoff
