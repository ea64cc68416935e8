// A machine of known truth: servers whose rates are given, on processors whose speed does what real ones do. It runs
// trials in no time by a clock of its own.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "harness/plan/specification.h"
#include "harness/run/trial_source.h"

namespace bakeoff::referee {

// What a machine does to trials. All shares and factors of its speed.
struct Machine {
  const char* name = "";
  double noise = 0.02;        // standard deviation of the logarithm, from trial to trial
  bool heavy_tails = false;   // the noise is Student's with three degrees of freedom, scaled by `noise`
  double slow_speed = 1;      // the second of two speeds; 1: there is one speed
  double dwell_s = 8;         // how long it stays at one, in the mean
  double drift_per_min = 0;   // of its speed, as a logarithm
  double bursts_per_min = 0;  // of neighbours that take a part of it for one to four seconds ...
  double burst_least = 0.4;   // ... and leave from this share
  double burst_most = 0.8;    // ... to this share
};

struct Server {
  double rate = 1000;    // replies/s at full speed
  double crashes = 0;    // probability that it dies in a trial
  double settles_s = 0;  // time constant with which it comes to its rate
  double p99_ms = 1;
  double memory_bytes = 1e7;
  double idle_share = 0.1;       // in the mean
  double errors_in_trial = 0.3;  // in the mean
};

// The speed of the machine as time goes on; the same for the same seed.
class Weather {
 public:
  Weather(const Machine& machine, std::uint64_t seed) : machine_(machine), random_(seed, 0x77656174) {}
  // The mean speed between two moments; never asked for the past beyond a minute.
  double speed(double from_s, double to_s);

 private:
  struct Stretch {
    double until_s;
    double speed;
  };
  double speed_at(double time_s);
  void extend(std::vector<Stretch>& stretches, double to_s, const std::function<Stretch(double)>& next);

  Machine machine_;
  Random random_;
  std::vector<Stretch> speeds_, bursts_;
  bool slow_ = false;
};

class SimulatedMachine : public TrialSource {
 public:
  // `server_of`: the truth of a cell. Shares the weather and the clock with other builds on the same machine.
  struct Shared {
    Weather weather;
    double now_s = 0;
  };
  SimulatedMachine(const Specification& spec, const Machine& machine, Shared& shared,
                   std::function<Server(const Cell&)> server_of, std::uint64_t seed, double client_rate = 1e9)
      : spec_(spec),
        machine_(machine),
        shared_(shared),
        server_of_(std::move(server_of)),
        client_rate_(client_rate),
        random_(seed, 0x73696d) {}

  Trial run(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s) override;
  std::unique_ptr<TrialInTurns> begin(const Cell& cell, const TrialKey& key, std::uint32_t attempt,
                                      double warmup_s) override;
  std::unique_ptr<CeilingInTurns> begin_ceiling(const Cell& cell, double warmup_s) override;
  double ceiling_bytes(const Cell&) const override { return 1024; }
  std::vector<double> pilot(const Cell& cell, std::uint32_t number, double length_s) override;
  double now_s() const override { return shared_.now_s; }

 private:
  class InTurns;
  class Ceiling;
  // Of a measured time in which the machine had these speeds, in the mean, in its first and its second half.
  Trial trial_of(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s, double speed,
                 double drift);
  void set_ceilings(Trial& trial, double before, double after) const;
  double normal();
  double noise();
  double read_ceiling();

  const Specification& spec_;
  Machine machine_;
  Shared& shared_;
  std::function<Server(const Cell&)> server_of_;
  double client_rate_;  // the client cannot drive more
  Random random_;
};

}  // namespace bakeoff::referee
