// One trial: a fresh server, one run of the load generator, what both used, and the ceiling before and after.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "harness/environment.h"
#include "harness/programs.h"
#include "harness/server_process.h"
#include "results/model.h"
#include "workloads/workload.h"

namespace bakeoff {

class TrialRunner {
 public:
  // `root`: where the workload's files are. Starts the ceiling program, which then idles between its readings.
  TrialRunner(Programs& programs, const Specification& spec, const Workload& workload, std::filesystem::path root, Placement placement);
  ~TrialRunner();

  // Starts the cell's server and has it answer every file. StartError when it does not start or not verify.
  void verify(const Cell& cell);
  // Never throws for what a server or client does: that makes the trial invalid, with the reason. BLOCKS: the trial's time.
  Trial run(const Cell& cell, const TrialKey& key, std::uint32_t attempt);

 private:
  std::unique_ptr<ServerProcess> start(const Cell& cell);
  std::unique_ptr<ServerProcess> start_outside(const Cell& cell);
  Command load_command(const Cell& cell, std::uint16_t port, std::uint64_t seed) const;
  void measure(const Cell& cell, Trial& trial);
  struct CeilingReading {
    std::optional<double> replies_per_s;
    std::optional<double> cpu_us_per_reply;
  };
  CeilingReading read_ceiling();

  Programs& programs_;
  Reactor& reactor_;
  const Specification& spec_;
  const Workload& workload_;
  std::filesystem::path root_;
  std::filesystem::path scratch_;  // of outside servers
  Placement placement_;
  std::unique_ptr<ServerProcess> ceiling_;
  // The reading after one trial is the reading before the next when that follows at once.
  CeilingReading last_ceiling_;
  SteadyTime last_ceiling_at_{};
};

// What the load generator's JSON says, as the validity rules take it. Throws nlohmann's exceptions for anything else.
ClientReport client_report(const nlohmann::json& load);

}  // namespace bakeoff
