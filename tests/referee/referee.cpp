// The referee: runs the code that plans, repeats, summarises, ranks, tunes and compares on simulated machines of
// known truth.
//     bakeoff-referee [--runs N]
// prints for each machine and number of trials how often intervals cover the truth, how often wrong orders, alarms and
// "fine" come out, and what is found. Exit status 1 when one of them is beyond its bound by more than chance allows.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "harness/plan/plan.h"
#include "harness/run/campaign.h"
#include "harness/run/pair_comparison.h"
#include "harness/run/warm_up.h"
#include "results/ranking.h"
#include "results/summary.h"
#include "tests/referee/simulated_machine.h"

namespace bakeoff::referee {
namespace {

int beyond_bounds = 0;

// How many of how many; more than `most` of them, beyond what chance explains in one of 1,000 cases, is a finding.
struct Share {
  std::size_t some = 0, all = 0;
  void add(bool one) {
    some += one ? 1 : 0;
    ++all;
  }
  double value() const { return all == 0 ? 0 : static_cast<double>(some) / static_cast<double>(all); }
};

double chance(double share, std::size_t all) {
  return all == 0 ? 1 : 3.1 * std::sqrt(share * (1 - share) / static_cast<double>(all));
}

std::string at_most(const Share& share, double most) {
  const bool beyond = share.value() > most + chance(most, share.all);
  beyond_bounds += beyond ? 1 : 0;
  return fmt::format("{:5.1f}{}", share.value() * 100, beyond ? "!" : " ");
}

std::string at_least(const Share& share, double least) {
  const bool beyond = share.value() < least - chance(least, share.all);
  beyond_bounds += beyond ? 1 : 0;
  return fmt::format("{:5.1f}{}", share.value() * 100, beyond ? "!" : " ");
}

std::string within(const Share& share, double least, double most) {
  const bool beyond =
      share.value() < least - chance(least, share.all) || share.value() > most + chance(most, share.all);
  beyond_bounds += beyond ? 1 : 0;
  return fmt::format("{:5.1f}{}", share.value() * 100, beyond ? "!" : " ");
}

std::string plain(const Share& share) { return fmt::format("{:5.1f} ", share.value() * 100); }

const std::vector<Machine>& machines() {
  static const std::vector<Machine> all = [] {
    std::vector<Machine> some;
    const auto add = [&](const char* name, double noise) -> Machine& {
      some.push_back({name, noise});
      return some.back();
    };
    add("noise 0.02", 0.02);
    add("noise 0.05", 0.05);
    add("noise 0.1", 0.1);
    add("noise 0.3", 0.3);
    add("heavy tails", 0.05).heavy_tails = true;
    Machine& speeds = add("two speeds", 0.02);
    speeds.slow_speed = 0.75;
    Machine& neighbour = add("neighbour", 0.02);
    neighbour.slow_speed = 0.6;
    neighbour.dwell_s = 0.3;
    add("drift", 0.03).drift_per_min = -0.1;
    add("bursts", 0.03).bursts_per_min = 4;
    return some;
  }();
  return all;
}

std::string specification(const std::vector<std::string>& servers, const std::string& connections, std::size_t finals,
                          const std::string& ceiling, bool in_turns = false) {
  std::string text =
      "[workload]\nname = \"single-file\"\n[load]\nconnections = " + connections +
      "\nwarmup = \"50ms\"\nlongest_warmup = \"50ms\"\nduration = \"250ms\"\n[trials]\nsweep = 1\nfinal = " +
      std::to_string(finals) + "\nceiling = \"" + ceiling + "\"\n" + (in_turns ? "turn = \"25ms\"\n" : "");
  for (const std::string& server : servers) text += "[[server]]\narchitecture = \"sped\"\nname = \"" + server + "\"\n";
  return text;
}

// --- a run: coverage and ranks ---

// a is 8 % ahead of b, b and c are equal, d is far behind.
const std::map<std::string, double> rates = {{"a", 1000}, {"b", 920}, {"c", 920}, {"d", 600}};

Server server_named(const std::string& name) {
  Server server;
  server.rate = rates.at(name);
  return server;
}

ExperimentResult run_once(const Specification& spec, const Machine& machine, std::uint64_t seed,
                          const std::function<Server(const Cell&)>& server_of, double client_rate = 1e9) {
  const std::vector<Cell> cells = plan_cells(spec, "single-file");
  SimulatedMachine::Shared shared{Weather(machine, seed)};
  SimulatedMachine source(spec, machine, shared, server_of, seed, client_rate);
  Progress progress(0, 0, Talk::quiet);
  Campaign campaign(spec, cells, {}, Search::full);
  campaign.run(
      source, {}, progress, [](const Trial&) {}, [](const std::string&) {});
  return make_result(spec, campaign.cells(), campaign.trials(), {}, {});
}

const CellResult& cell_of(const ExperimentResult& result, const std::string& server) {
  return *std::find_if(result.cells.begin(), result.cells.end(),
                       [&](const CellResult& cell) { return cell.cell.server == server; });
}

// What today's estimate replaced: the median over trials that did not look unsteady, where half of them are left.
double median_of_survivors(const CellResult& cell) {
  std::vector<double> all, steady;
  for (const Trial& trial : cell.trials) {
    const auto& value = trial.figures[Metric::relative_to_ceiling];
    if ((trial.key.phase == Phase::final) != cell.is_final || !value) continue;
    all.push_back(*value);
    if (trial.void_causes.empty() && std::fabs(trial.drift.value_or(0)) < 0.2) steady.push_back(*value);
  }
  return median(steady.size() >= 2 && steady.size() * 2 >= all.size() ? steady : all);
}

constexpr Metric watched[] = {Metric::relative_to_ceiling, Metric::replies_per_s,  Metric::server_cpu_us_per_reply,
                              Metric::latency_p99_ms,      Metric::cpu_idle_share, Metric::errors};

// The truth of a figure is what the estimator comes to when there are very many trials.
std::map<Metric, double> truth_of(const Specification& spec, const Machine& machine, std::size_t finals) {
  // In short runs, as those that are judged: a drift is a part of the truth.
  std::map<Metric, std::vector<double>> values;
  for (std::uint64_t seed = 1'000'000; seed < 1'000'000 + 2400 / finals; ++seed) {
    const ExperimentResult result =
        run_once(spec, machine, seed, [](const Cell& cell) { return server_named(cell.server); });
    for (const Trial& trial : cell_of(result, "b").trials) {
      if (!trial.counted) continue;
      for (const Metric metric : watched) {
        if (const auto& value = trial.figures[metric]) values[metric].push_back(*value);
      }
    }
  }
  std::map<Metric, double> truth;
  for (auto& [metric, all] : values) {
    if (all.size() > 1500) all.resize(1500);
    truth[metric] = *figure_of(all, name_of(metric).scatter).median;
  }
  return truth;
}

void judge_runs(std::size_t runs, bool in_turns) {
  std::printf(
      "\nA run of four servers, %s: a is 8 %% ahead of b, c equals b, d is far behind. %zu runs each; all figures in "
      "%%.\n"
      "Coverage of 95 %% intervals (b's), of the ratios to the first (all at once), wrong orders, pairs told apart, "
      "void trials;\n"
      "error: root mean square of b's share of the ceiling, now and as the median of survivors.\n\n",
      in_turns ? "in turns of 25 ms" : "one trial after another", runs);
  std::printf("%-12s %3s | %-6s %-6s %-6s %-6s %-6s %-6s | %-6s | %-6s | %-6s %-6s | %-6s | %6s %6s\n", "machine", "n",
              "ceil.", "rate", "CPU", "p99", "share", "count", "ratios", "wrong", "a>b", "b>d", "void", "error",
              "before");
  for (const Machine& machine : machines()) {
    for (const std::size_t finals : {5, 10, 20}) {
      const Specification spec =
          parse_specification(specification({"a", "b", "c", "d"}, "64", finals, "100ms", in_turns), "referee.toml");
      const std::map<Metric, double> truth = truth_of(spec, machine, finals);
      std::map<Metric, Share> covered;
      Share ratios, wrong, near, far, voids;
      double error = 0, error_before = 0;
      for (std::uint64_t seed = 1; seed <= runs; ++seed) {
        const ExperimentResult result =
            run_once(spec, machine, seed, [](const Cell& cell) { return server_named(cell.server); });
        const CellResult& b = cell_of(result, "b");
        for (const Metric metric : watched) {
          const Figure& figure = b.summary[metric];
          if (figure.lower) covered[metric].add(*figure.lower <= truth.at(metric) && truth.at(metric) <= *figure.upper);
        }
        if (b.summary[Metric::relative_to_ceiling].median) {
          const double right = truth.at(Metric::relative_to_ceiling);
          error += std::pow(std::log(*b.summary[Metric::relative_to_ceiling].median / right), 2);
          error_before += std::pow(std::log(median_of_survivors(b) / right), 2);
        }
        for (const Trial& trial : b.trials) voids.add(!trial.void_causes.empty());
        std::map<std::string, const Best*> ranks;
        bool has_ratios = false, all_ratios = true, wrong_order = false;
        for (const Best& best : result.best) {
          ranks[best.server] = &best;
          if (!best.of_first.lower) continue;
          has_ratios = true;
          const double right = rates.at(best.server) / rates.at(result.best.front().server);
          all_ratios = all_ratios && *best.of_first.lower <= right && right <= *best.of_first.upper;
        }
        if (has_ratios) ratios.add(all_ratios);
        if (ranks.size() < rates.size()) continue;
        // Whom the ranks put before whom: only where the truth does.
        for (const auto& [x, rate_x] : rates) {
          for (const auto& [y, rate_y] : rates) {
            if (ranks[x]->rank_to < ranks[y]->rank_from && rate_x <= rate_y) wrong_order = true;
          }
        }
        wrong.add(wrong_order);
        near.add(ranks["a"]->rank_to < ranks["b"]->rank_from);
        far.add(ranks["b"]->rank_to < ranks["d"]->rank_from);
      }
      std::printf("%-12s %3zu |", machine.name, finals);
      for (const Metric metric : watched) {
        // A count of few events is a whole number: its interval covers more than it promises. A drift makes the trials
        // of a run more alike in their mean than one by one, and intervals cover more, too.
        const bool discrete = metric == Metric::errors;
        const bool drifts = machine.drift_per_min != 0 && metric != Metric::cpu_idle_share;
        // Where the machine keeps a speed for longer than a block takes, a run's trials are not independent: raw
        // figures hold for the speeds that it met (results/README.md). The share of the ceiling must hold all the same.
        const bool raw = metric == Metric::replies_per_s || metric == Metric::server_cpu_us_per_reply ||
                         metric == Metric::latency_p99_ms;
        const bool keeps_speeds = machine.slow_speed != 1 || machine.bursts_per_min > 0;
        const double least = keeps_speeds && raw ? 0.6 : 0.93;
        std::printf(" %s", within(covered[metric], least, discrete || drifts ? 1 : 0.97).c_str());
      }
      std::printf(" | %s | %s | %s %s | %s | %6.4f %6.4f\n",
                  ratios.all == 0 ? "  -   " : at_least(ratios, 0.95).c_str(), at_most(wrong, 0.05).c_str(),
                  plain(near).c_str(), plain(far).c_str(), plain(voids).c_str(),
                  std::sqrt(error / static_cast<double>(runs)), std::sqrt(error_before / static_cast<double>(runs)));
      std::fflush(stdout);
    }
  }
}

// A server that dies now and then, and a client that is the bottleneck: no such cell is valid, none of its trials
// is dropped.
void judge_outcomes(std::size_t runs) {
  std::printf("\nOutcomes that spoil a cell: valid all the same (in %% of runs), and trials dropped.\n\n");
  std::printf("%-28s %3s | %-10s | %-8s\n", "case", "n", "valid", "dropped");
  for (const std::size_t finals : {5, 10, 20}) {
    const Specification spec = parse_specification(specification({"b"}, "64", finals, "100ms"), "referee.toml");
    for (const bool saturated : {false, true}) {
      Share valid, dropped;
      for (std::uint64_t seed = 1; seed <= runs; ++seed) {
        const auto server_of = [&](const Cell& cell) {
          Server server = server_named(cell.server);
          server.crashes = saturated ? 0 : 0.1;
          return server;
        };
        const ExperimentResult result = run_once(spec, machines()[1], seed, server_of, saturated ? 800 : 1e9);
        const CellResult& cell = cell_of(result, "b");
        const bool died = std::any_of(cell.trials.begin(), cell.trials.end(),
                                      [&](const Trial& trial) { return trial.counted && !trial.failures.empty(); });
        if (saturated || died) valid.add(cell.valid);
        for (const Trial& trial : cell.trials) {
          if ((trial.key.phase == Phase::final) == cell.is_final && trial.void_causes.empty())
            dropped.add(!trial.counted);
        }
      }
      std::printf("%-28s %3zu | %s      | %s\n",
                  saturated ? "the client is the bottleneck" : "dies in one trial of ten", finals,
                  at_most(valid, 0).c_str(), at_most(dropped, 0).c_str());
    }
  }
}

// --- compare: alarms, wrong "fine", power, time ---

struct Change {
  const char* name;
  double rate = 1;        // of the candidate over the baseline ...
  bool one_cell = false;  // ... in one cell alone
  double p99 = 1;
  double memory = 1;
  double crashes = 0;
  enum class Right { fine, regressed, not_fine } right = Right::fine;
};

void judge_comparisons(std::size_t runs, bool in_turns, std::size_t cell_count, const std::vector<Guard>& guards,
                       double budget_s, const std::vector<Change>& changes) {
  std::printf(
      "\nbakeoff compare, %s, %zu %s, %zu %s, margin 5 %%, budget %.0f s. %zu comparisons each, in %%; time of the "
      "budget.\n\n",
      in_turns ? "in turns of 25 ms" : "one trial after another", cell_count, cell_count == 1 ? "cell" : "cells",
      guards.size(), guards.size() == 1 ? "figure" : "figures", budget_s, runs);
  std::printf("%-12s %-26s | %-9s %-7s %-9s | %s\n", "machine", "candidate", "regressed", "fine", "undecided", "time");
  std::string connections = "[";
  for (std::size_t i = 0; i < cell_count; ++i) connections += (i == 0 ? "" : ", ") + std::to_string(i + 1);
  connections += "]";
  const Specification spec = parse_specification(specification({"a"}, connections, 0, "0s", in_turns), "referee.toml");
  const std::vector<Cell> cells = plan_cells(spec, "single-file");
  for (const Machine& machine : machines()) {
    for (const Change& change : changes) {
      Share regressed, fine, undecided;
      double time = 0;
      for (std::uint64_t seed = 1; seed <= runs; ++seed) {
        SimulatedMachine::Shared shared{Weather(machine, seed)};
        const auto before = [](const Cell&) { return Server{}; };
        const auto after = [&](const Cell& cell) {
          Server server;
          if (change.one_cell && cell.connections != 1) return server;
          server.rate *= change.rate;
          server.p99_ms *= change.p99;
          server.memory_bytes *= change.memory;
          server.crashes = change.crashes;
          return server;
        };
        SimulatedMachine baseline(spec, machine, shared, before, 2 * seed),
            candidate(spec, machine, shared, after, 2 * seed + 1);
        Progress progress(0, 0, Talk::quiet);
        Specification seeded = spec;
        seeded.seed = seed;
        PairComparison comparison(seeded, cells, baseline, candidate, guards);
        const PairOutcome outcome = comparison.run(budget_s, {}, progress);
        regressed.add(outcome.verdict == Verdict::regressed);
        fine.add(outcome.verdict == Verdict::fine);
        undecided.add(outcome.verdict == Verdict::undecided);
        time += outcome.spent_s / budget_s / static_cast<double>(runs);
      }
      const bool may_alarm = change.right != Change::Right::fine;
      std::printf("%-12s %-26s | %s   %s %s   | %3.0f %%\n", machine.name, change.name,
                  (may_alarm ? plain(regressed) : at_most(regressed, 0.05)).c_str(),
                  (change.right == Change::Right::fine ? plain(fine) : at_most(fine, 0.05)).c_str(),
                  plain(undecided).c_str(), time * 100);
      std::fflush(stdout);
    }
  }
}

// --- the pilot ---

void judge_warm_ups(std::size_t runs) {
  std::printf(
      "\nThe pilot: warm-up found (least 50 ms, longest 500 ms) for servers that settle with a time constant, medians, "
      "and said to be unsettled.\n\n");
  std::printf("%-12s", "machine");
  const std::vector<double> constants_s = {0, 0.05, 0.1, 5};
  for (const double constant_s : constants_s) std::printf(" | %4.0f ms          ", constant_s * 1e3);
  std::printf("\n");
  std::string text = specification({"a"}, "64", 0, "100ms");
  text.replace(text.find("longest_warmup = \"50ms\""), 23, "longest_warmup = \"500ms\"");
  const Specification spec = parse_specification(text, "referee.toml");
  const std::vector<Cell> cells = plan_cells(spec, "single-file");
  for (const Machine& machine : machines()) {
    std::printf("%-12s", machine.name);
    for (const double constant_s : constants_s) {
      std::vector<double> found;
      Share unsettled;
      for (std::uint64_t seed = 1; seed <= runs; ++seed) {
        SimulatedMachine::Shared shared{Weather(machine, seed)};
        SimulatedMachine source(
            spec, machine, shared,
            [&](const Cell&) {
              Server server;
              server.settles_s = constant_s;
              return server;
            },
            seed);
        Progress progress(0, 0, Talk::quiet);
        const std::vector<WarmUp> warm_ups = find_warm_ups(spec, cells, {&source}, progress);
        found.push_back(warm_ups.front().seconds * 1e3);
        unsettled.add(!warm_ups.front().unsettled.empty());
      }
      std::printf(" | %4.0f ms, %s %%   ", median(found), plain(unsettled).c_str());
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace bakeoff::referee

int main(int argc, char** argv) {
  using namespace bakeoff;
  using namespace bakeoff::referee;
  std::size_t runs = 1000;
  if (argc == 3 && std::strcmp(argv[1], "--runs") == 0) runs = std::strtoul(argv[2], nullptr, 10);
  if ((argc != 1 && argc != 3) || runs < 10) {
    std::fprintf(stderr, "bakeoff-referee: expected nothing, or --runs N with N of at least 10\n");
    return 2;
  }
  const auto guard = [](const char* name) { return Guard{*find_metric(name), 0.05}; };
  using Right = Change::Right;
  for (const bool in_turns : {false, true}) judge_runs(runs, in_turns);
  judge_outcomes(runs / 2);
  for (const bool in_turns : {false, true})
    judge_comparisons(runs, in_turns, 1, {guard("replies_per_cpu_s")}, 180,
                      {{"equal"},
                       {"5 % slower: the margin", 0.95, false, 1, 1, 0, Right::not_fine},
                       {"10 % slower", 0.9, false, 1, 1, 0, Right::regressed},
                       {"dies in one trial of ten", 1, false, 1, 1, 0.1, Right::not_fine}});
  judge_comparisons(std::max<std::size_t>(runs / 5, 10), false, 20,
                    {guard("replies_per_cpu_s"), guard("latency_ms.p99"), guard("memory_bytes")}, 600,
                    {{"equal"},
                     {"one cell 5 % slower", 0.95, true, 1, 1, 0, Right::not_fine},
                     {"one cell 30 % slower", 0.7, true, 1, 1, 0, Right::regressed},
                     {"p99 doubled", 1, false, 2, 1, 0, Right::regressed},
                     {"10 % more memory", 1, false, 1, 1.1, 0, Right::regressed}});
  judge_warm_ups(std::max<std::size_t>(runs / 5, 10));
  std::printf("\n!: beyond its bound by more than chance explains (one case in 1,000): %d\n", beyond_bounds);
  return beyond_bounds == 0 ? 0 : 1;
}
