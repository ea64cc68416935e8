#include "tests/referee/simulated_machine.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>

#include "harness/run/turns.h"

namespace bakeoff::referee {
namespace {

constexpr double start_s = 0.15;  // a server's start and end
constexpr double ceiling_rate = 1000;

double exponential(Random& random, double mean) { return -mean * std::log(random.positive_unit()); }

}  // namespace

void Weather::extend(std::vector<Stretch>& stretches, double to_s, const std::function<Stretch(double)>& next) {
  while (stretches.empty() || stretches.back().until_s < to_s)
    stretches.push_back(next(stretches.empty() ? 0 : stretches.back().until_s));
}

double Weather::speed_at(double time_s) {
  double speed = std::exp(machine_.drift_per_min / 60 * time_s);
  const auto at = [&](const std::vector<Stretch>& stretches) {
    return std::lower_bound(stretches.begin(), stretches.end(), time_s,
                            [](const Stretch& one, double time) { return one.until_s < time; })
        ->speed;
  };
  if (machine_.slow_speed != 1) {
    extend(speeds_, time_s, [&](double from_s) {
      slow_ = !slow_;
      return Stretch{from_s + exponential(random_, machine_.dwell_s), slow_ ? machine_.slow_speed : 1.0};
    });
    speed *= at(speeds_);
  }
  if (machine_.bursts_per_min > 0) {
    bool in_burst = !bursts_.empty() && bursts_.back().speed == 1;
    extend(bursts_, time_s, [&](double from_s) {
      in_burst = bursts_.empty() ? false : bursts_.back().speed == 1;
      if (!in_burst) return Stretch{from_s + exponential(random_, 60 / machine_.bursts_per_min), 1.0};
      return Stretch{from_s + 1 + 3 * random_.unit(),
                     machine_.burst_least + (machine_.burst_most - machine_.burst_least) * random_.unit()};
    });
    speed *= at(bursts_);
  }
  return speed;
}

double Weather::speed(double from_s, double to_s) {
  constexpr int points = 8;
  double sum = 0;
  for (int i = 0; i < points; ++i) sum += speed_at(from_s + (to_s - from_s) * (i + 0.5) / points);
  return sum / points;
}

double SimulatedMachine::normal() {
  return std::sqrt(-2 * std::log(random_.positive_unit())) * std::cos(2 * std::numbers::pi * random_.unit());
}

double SimulatedMachine::noise() {
  double value = normal();
  if (machine_.heavy_tails) {
    double squares = 0;
    for (int i = 0; i < 3; ++i) squares += std::pow(normal(), 2);
    value /= std::sqrt(squares / 3);
  }
  return std::exp(machine_.noise * value);
}

double SimulatedMachine::read_ceiling() {
  const double from_s = shared_.now_s;
  shared_.now_s += spec_.ceiling_s + 0.05;
  return ceiling_rate * shared_.weather.speed(from_s, shared_.now_s) * std::exp(0.01 * normal());
}

Trial SimulatedMachine::run(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s) {
  const bool reads_ceiling = spec_.ceiling_s > 0;
  const double before = reads_ceiling ? read_ceiling() : 0;
  shared_.now_s += start_s + warmup_s;
  const double from_s = shared_.now_s;
  shared_.now_s += spec_.duration_s;
  const double half_s = from_s + spec_.duration_s / 2;
  const double drift = std::log(shared_.weather.speed(half_s, shared_.now_s) / shared_.weather.speed(from_s, half_s));
  Trial trial = trial_of(cell, key, attempt, warmup_s, shared_.weather.speed(from_s, shared_.now_s), drift);
  if (reads_ceiling) set_ceilings(trial, before, read_ceiling());
  return trial;
}

void SimulatedMachine::set_ceilings(Trial& trial, double before, double after) const {
  trial.ceiling_before = before;
  trial.ceiling_after = after;
  if (std::fabs(before - after) > spec_.ceiling_difference * std::max(before, after))
    trial.void_causes.push_back("the machine changed speed");
  trial.figures[Metric::relative_to_ceiling] = *trial.figures[Metric::replies_per_s] / ((before + after) / 2);
}

// The speeds that the machine had in its turns, one after another.
class SpeedOfTurns {
 public:
  SpeedOfTurns(SimulatedMachine::Shared& shared, double first_s, double each_s)
      : shared_(shared), length_s_(first_s), each_s_(each_s) {}
  void turn() {
    const double from_s = shared_.now_s;
    shared_.now_s += length_s_;
    if (!is_warm_up_) speeds_.push_back(shared_.weather.speed(from_s, shared_.now_s));
    is_warm_up_ = false;
    length_s_ = each_s_;
  }
  double mean() const { return mean(0, speeds_.size()); }
  double drift() const {
    const std::size_t half = speeds_.size() / 2;
    return half == 0 ? 0 : std::log(mean(speeds_.size() - half, speeds_.size()) / mean(0, half));
  }

 private:
  double mean(std::size_t from, std::size_t to) const {
    double sum = 0;
    for (std::size_t i = from; i < to; ++i) sum += speeds_[i];
    return sum / static_cast<double>(to - from);
  }
  SimulatedMachine::Shared& shared_;
  double length_s_, each_s_;
  bool is_warm_up_ = true;
  std::vector<double> speeds_;
};

class SimulatedMachine::InTurns : public TrialInTurns {
 public:
  InTurns(SimulatedMachine& machine, const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s)
      : machine_(machine),
        cell_(cell),
        key_(key),
        attempt_(attempt),
        warmup_s_(warmup_s),
        speed_(machine.shared_, warmup_s, machine.spec_.duration_s / turns_of(machine.spec_)) {
    machine.shared_.now_s += start_s;
  }
  void turn() override { speed_.turn(); }
  Trial finish(const CeilingReading* ceiling) override {
    Trial trial = machine_.trial_of(cell_, key_, attempt_, warmup_s_, speed_.mean(), speed_.drift());
    if (ceiling != nullptr && ceiling->replies_per_s)
      machine_.set_ceilings(trial, *ceiling->replies_per_s, *ceiling->replies_per_s);
    return trial;
  }

 private:
  SimulatedMachine& machine_;
  Cell cell_;
  TrialKey key_;
  std::uint32_t attempt_;
  double warmup_s_;
  SpeedOfTurns speed_;
};

class SimulatedMachine::Ceiling : public CeilingInTurns {
 public:
  Ceiling(SimulatedMachine& machine, double warmup_s)
      : machine_(machine), speed_(machine.shared_, warmup_s, machine.spec_.duration_s / turns_of(machine.spec_)) {}
  void turn() override { speed_.turn(); }
  CeilingReading finish() override {
    return {ceiling_rate * speed_.mean() * std::exp(0.01 * machine_.normal()), std::nullopt};
  }

 private:
  SimulatedMachine& machine_;
  SpeedOfTurns speed_;
};

std::unique_ptr<TrialInTurns> SimulatedMachine::begin(const Cell& cell, const TrialKey& key, std::uint32_t attempt,
                                                      double warmup_s) {
  return std::make_unique<InTurns>(*this, cell, key, attempt, warmup_s);
}

std::unique_ptr<CeilingInTurns> SimulatedMachine::begin_ceiling(const Cell&, double warmup_s) {
  return spec_.ceiling_s > 0 ? std::make_unique<Ceiling>(*this, warmup_s) : nullptr;
}

Trial SimulatedMachine::trial_of(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s,
                                 double speed, double drift) {
  const Server server = server_of_(cell);
  Trial trial;
  trial.key = key;
  trial.attempt = attempt;
  trial.started = "2024-05-01T12:00:00Z";
  const double settled = server.settles_s > 0 ? 1 - std::exp(-(warmup_s + spec_.duration_s / 2) / server.settles_s) : 1;
  const double free_rate = server.rate * speed * noise() * settled;
  const double rate = std::min(free_rate, client_rate_ * speed);

  LoadCounts counts;
  counts.measured_s = spec_.duration_s;
  counts.replies = static_cast<std::uint64_t>(rate * spec_.duration_s) + 1;
  counts.connections_asked = counts.connections_opened = cell.connections;
  counts.busiest_client_s = spec_.duration_s * std::min(1.0, rate / (client_rate_ * speed));
  counts.server_busy_s = spec_.duration_s * rate / free_rate;
  counts.server_sampled_s = spec_.duration_s;
  trial.counts = counts;
  trial.figures[Metric::replies_per_s] = rate;
  trial.figures[Metric::throughput_mbps] = rate * 0.1;
  trial.figures[Metric::server_cpu_us_per_reply] = 1e6 / free_rate;
  trial.figures[Metric::latency_p99_ms] = server.p99_ms / speed * noise() * noise();
  trial.figures[Metric::memory_bytes] = server.memory_bytes * std::exp(0.002 * normal());
  trial.figures[Metric::cpu_idle_share] = std::clamp(server.idle_share * noise() * noise(), 0.0, 1.0);
  double errors = 0;  // Poisson, by inversion
  for (double left = std::exp(-server.errors_in_trial), u = random_.unit(), p = left; u > p; p += left) {
    ++errors;
    left *= server.errors_in_trial / errors;
  }
  trial.figures[Metric::errors] = errors;
  derive_figures(trial.figures);
  trial.drift = drift;
  if (random_.unit() < server.crashes) trial.failures.push_back("the server died");
  return trial;
}

std::vector<double> SimulatedMachine::pilot(const Cell& cell, std::uint32_t, double length_s) {
  const Server server = server_of_(cell);
  shared_.now_s += start_s;
  std::vector<double> sent;
  const double span_s = length_s / pilot_spans;
  for (std::size_t i = 0; i < pilot_spans; ++i) {
    const double from_s = shared_.now_s;
    shared_.now_s += span_s;
    const double age_s = span_s * (static_cast<double>(i) + 0.5);
    const double settled = server.settles_s > 0 ? 1 - std::exp(-age_s / server.settles_s) : 1;
    sent.push_back(server.rate * settled * shared_.weather.speed(from_s, shared_.now_s) * noise());
  }
  return sent;
}

}  // namespace bakeoff::referee
