#include "harness/run/turns.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "core/base/random.h"

namespace bakeoff {
namespace {

constexpr std::uint64_t turns_stream = 0x7475726e73;

}  // namespace

std::uint32_t turns_of(const Specification& spec) {
  return static_cast<std::uint32_t>(std::max(1.0, std::round(spec.duration_s / spec.turn_s)));
}

std::vector<Trial> run_in_turns(const Specification& spec, const std::vector<TrialToRun>& trials, bool with_ceiling) {
  std::vector<std::unique_ptr<TrialInTurns>> running;
  std::map<double, std::unique_ptr<CeilingInTurns>> ceilings;
  std::vector<TurnTaker*> takers;
  for (const TrialToRun& one : trials) {
    running.push_back(one.source->begin(one.cell, one.key, one.attempt, one.warmup_s));
    takers.push_back(running.back().get());
    if (!with_ceiling) continue;
    const auto [ceiling, is_new] = ceilings.try_emplace(one.source->ceiling_bytes(one.cell));
    if (!is_new) continue;
    ceiling->second = one.source->begin_ceiling(one.cell, one.warmup_s);
    if (ceiling->second) takers.push_back(ceiling->second.get());
  }
  // Another order in each block and phase, and the same when it is run again.
  const TrialKey& key = trials.front().key;
  Random random(spec.seed, turns_stream + key.block * 2 + (key.phase == Phase::final ? 1 : 0));
  for (std::uint32_t turn = 0; turn <= turns_of(spec); ++turn) {
    for (std::size_t left = takers.size(); left > 1; --left)
      std::swap(takers[left - 1], takers[random.below(static_cast<std::uint32_t>(left))]);
    for (TurnTaker* taker : takers) taker->turn();
  }
  std::map<double, CeilingReading> readings;
  for (const auto& [bytes, ceiling] : ceilings) {
    readings[bytes] = ceiling ? ceiling->finish() : CeilingReading{};
  }
  std::vector<Trial> done;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    const auto reading = readings.find(trials[i].source->ceiling_bytes(trials[i].cell));
    done.push_back(running[i]->finish(reading == readings.end() ? nullptr : &reading->second));
  }
  return done;
}

}  // namespace bakeoff
