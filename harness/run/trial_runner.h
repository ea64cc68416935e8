// One trial: a fresh server, one run of the load generator, what both used, and the ceiling before and after.
#pragma once

#include <functional>
#include <memory>

#include "harness/ground/file_sets.h"
#include "harness/ground/programs.h"
#include "harness/hosts/client_hosts.h"
#include "harness/machine/environment.h"
#include "harness/machine/process_probe.h"
#include "harness/processes/affinity.h"
#include "harness/run/ceiling_probe.h"
#include "harness/run/launcher.h"
#include "harness/run/load_run.h"
#include "harness/run/measurement.h"
#include "harness/run/soak.h"
#include "harness/run/trial_source.h"

namespace bakeoff {

class TrialRunner : public TrialSource {
 public:
  // All of it must outlive the runner. While it lives, this thread runs on the harness's processors.
  // hosts: that make the load; nullptr: it finds those of the specification itself, where there are some.
  TrialRunner(Programs& programs, const Specification& spec, const FileSets& file_sets, Placement placement,
              std::shared_ptr<ClientHosts> hosts = nullptr);

  // Starts the cell's server and has it answer every file. StartError when it does not start or not verify. BLOCKS.
  KeptConnections verify(const Cell& cell) { return launcher_.verify(cell); }

  Trial run(const Cell& cell, const TrialKey& key, std::uint32_t attempt, double warmup_s) override;
  std::unique_ptr<TrialInTurns> begin(const Cell& cell, const TrialKey& key, std::uint32_t attempt,
                                      double warmup_s) override;
  std::unique_ptr<CeilingInTurns> begin_ceiling(const Cell& cell, double warmup_s) override;
  double ceiling_bytes(const Cell& cell) const override;
  std::vector<double> pilot(const Cell& cell, std::uint32_t number, double length_s) override;
  double now_s() const override;
  // The cell's server under its load for so long, looked at 60 times. BLOCKS: that time.
  SoakRecord soak(const Cell& cell, double length_s);

 private:
  // A server on what stands under it, and its load: the last begun is the first ended.
  struct Serving {
    Launcher::Ground ground;
    std::unique_ptr<ServerProcess> server;
    std::unique_ptr<Measurement> measurement;
  };
  class InTurns;
  friend class InTurns;

  Command load_command(const Cell& cell, std::uint16_t port, std::uint64_t seed, LoadTimes times) const;
  void guarded(Trial& trial, const std::function<void()>& step);
  void prepare_machine(const Cell& cell, Trial& trial);
  bool start_server(const Cell& cell, Serving& serving, Trial& trial);
  void measure(const Cell& cell, Serving& serving, const Trial& trial, LoadTimes times);
  void conclude(const Cell& cell, Serving& serving, Trial& trial, double warmup_s);
  void judge_ceiling(const Cell& cell, const CeilingReading& before, const CeilingReading& after, Trial& trial) const;
  nlohmann::json profile(const Cell& cell, ServerProcess& server, double warmup_s);

  Programs& programs_;
  Reactor& reactor_;
  const Specification& spec_;
  const FileSets& file_sets_;
  Placement placement_;
  Pin pin_;  // the harness itself
  Launcher launcher_;
  std::shared_ptr<ClientHosts> hosts_;
  CeilingProbe ceilings_;
  std::unique_ptr<DelayAccounting> delay_accounting_;
};

}  // namespace bakeoff
