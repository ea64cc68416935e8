// The measured time of one trial: the load generator's run, what both sides used meanwhile, and the figures of it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "harness/hosts/client_hosts.h"
#include "harness/machine/environment.h"
#include "harness/machine/evidence.h"
#include "harness/machine/process_probe.h"
#include "harness/plan/specification.h"
#include "harness/processes/server_process.h"
#include "harness/run/load_run.h"
#include "results/model.h"

namespace bakeoff {

inline double elapsed_s(SteadyTime from, SteadyTime to) { return std::chrono::duration<double>(to - from).count(); }

class Measurement {
 public:
  struct Setting {
    Reactor& reactor;
    const Specification& spec;
    const Placement& placement;
    ClientHosts* hosts;  // that make the load; nullptr: this one
  };
  struct Sample {
    SideUse server, client;
    std::optional<std::uint64_t> user_switches;
  };

  // Starts the load generator by `client`, its command line. Everything named must outlive the measurement.
  // StartError when it cannot be started.
  Measurement(const Setting& setting, ServerProcess& server, Command client, LoadTimes times);

  // All of it at one go. BLOCKS: its time.
  void run();
  // Or in turns (turns.h). BLOCKS: until the connections are open; a turn.
  void open();
  void turn();

  // Waits for the load generator's end and notes what was measured: figures, counts, evidence, failures, void causes.
  // `files`: of the cell's file set. nlohmann's exceptions and UsageError when its report cannot be read.
  // BLOCKS: until it has ended.
  void conclude(const Cell& cell, std::size_t files, Trial& trial, nlohmann::json& use);

 private:
  Sample sample(bool memory);
  void sample_last();
  bool judge_hosts(bool in_time, Trial& trial);
  void note_others(Trial& trial, nlohmann::json& use) const;
  // The time between turns belongs to others: the second sample is moved to where the turns end on the run's clock.
  void join_turns(double measured_s);

  Setting setting_;
  ServerProcess& server_;
  LoadTimes times_;
  TcpCounters tcp_before_;
  SideProbe server_side_, everybody_;
  ProcessorSeconds machine_before_;
  double own_before_s_;
  SteadyTime begun_;
  LoadRun load_;
  SideProbe client_side_;
  std::optional<Sample> first_, second_;
  std::optional<double> memory_bytes_, page_cache_bytes_;
  std::vector<double> levels_;  // bytes/s that the server sent, in equal parts of the measured time
  // In turns:
  std::uint32_t turns_done_ = 0;
  bool out_of_step_ = false;                                    // the client did not rest when it should
  ProcessorSeconds server_processors_s_, client_processors_s_;  // over the measured turns
};

}  // namespace bakeoff
