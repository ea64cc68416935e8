// Trials that are made up in place of servers: what a server does stands in a function.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/run/trial_source.h"
#include "results/model.h"

namespace bakeoff::test {

// A trial of `replies_per_s`, with nothing wrong.
inline Trial sound_trial(double replies_per_s) {
  Trial trial;
  trial.started = "2024-05-01T12:00:00Z";
  trial.counts = LoadCounts{};
  trial.counts->measured_s = 1;
  trial.counts->replies = 6400;
  trial.counts->connections_asked = trial.counts->connections_opened = 64;
  trial.figures[Metric::throughput_mbps] = replies_per_s / 8;
  trial.figures[Metric::replies_per_s] = replies_per_s;
  trial.figures[Metric::relative_to_ceiling] = replies_per_s / 1e4;
  return trial;
}

class MadeUpTrials : public TrialSource {
 public:
  struct Asked {
    TrialKey key;
    std::uint32_t attempt;
    double warmup_s;
  };
  using Serve = std::function<Trial(const Cell&, const TrialKey&, std::uint32_t attempt)>;

  explicit MadeUpTrials(Serve serve) : serve_(std::move(serve)) {}

  Trial run(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s) override {
    asked.push_back({key, attempt, warmup_s});
    *clock_s += trial_s;
    Trial trial = serve_(cell, key, attempt);
    trial.key = key;
    trial.attempt = attempt;
    return trial;
  }
  // In turns it is the same trial, made up when its turns are over.
  std::unique_ptr<TrialInTurns> begin(const Cell& cell, const TrialKey& key, std::uint32_t attempt,
                                      double warmup_s) override {
    struct InTurns : TrialInTurns {
      InTurns(MadeUpTrials& source, Cell its_cell, TrialKey its_key, std::uint32_t its_attempt, double its_warmup_s)
          : trials(source),
            cell(std::move(its_cell)),
            key(std::move(its_key)),
            attempt(its_attempt),
            warmup_s(its_warmup_s) {}
      void turn() override { trials.turns.push_back(key.cell_id); }
      Trial finish(const CeilingReading* ceiling) override {
        Trial trial = trials.run(cell, key, attempt, warmup_s);
        if (ceiling != nullptr) trial.ceiling_before = trial.ceiling_after = ceiling->replies_per_s;
        return trial;
      }
      MadeUpTrials& trials;
      Cell cell;
      TrialKey key;
      std::uint32_t attempt;
      double warmup_s;
    };
    return std::make_unique<InTurns>(*this, cell, key, attempt, warmup_s);
  }
  std::unique_ptr<CeilingInTurns> begin_ceiling(const Cell&, double) override {
    struct InTurns : CeilingInTurns {
      explicit InTurns(MadeUpTrials& source) : trials(source) {}
      void turn() override { trials.turns.push_back("ceiling"); }
      CeilingReading finish() override { return {1e4, 10.0}; }
      MadeUpTrials& trials;
    };
    return std::make_unique<InTurns>(*this);
  }
  double ceiling_bytes(const Cell&) const override { return 1024; }
  std::vector<double> pilot(const Cell& cell, std::uint32_t number, double length_s) override {
    *clock_s += length_s;
    if (!pilots) throw std::logic_error("no pilot was expected");
    return pilots(cell, number);
  }
  double now_s() const override { return *clock_s; }

  std::vector<std::string> turns;  // who had them, by cell
  std::vector<Asked> asked;        // in the order in which it was asked for
  double trial_s = 1;
  std::function<std::vector<double>(const Cell&, std::uint32_t)> pilots;
  // Two sources that take turns share one clock.
  std::shared_ptr<double> clock_s = std::make_shared<double>(100.0);

 private:
  Serve serve_;
};

}  // namespace bakeoff::test
