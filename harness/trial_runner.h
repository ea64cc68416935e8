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

  // Starts the cell's server and has it answer every file. StartError when it does not start or not verify.
  void verify(const Cell& cell);
  // Never throws for what a server or client does: that makes the trial invalid, with the reason. BLOCKS: the trial's time.
  Trial run(const Cell& cell, const TrialKey& key, std::uint32_t attempt);

 private:
  Command server_command(const Cell& cell) const;
  Command load_command(const Cell& cell, std::uint16_t port, std::uint64_t seed) const;
  void measure(const Cell& cell, Trial& trial);
  std::optional<double> read_ceiling();

  Programs& programs_;
  Reactor& reactor_;
  const Specification& spec_;
  const Workload& workload_;
  std::filesystem::path root_;
  Placement placement_;
  std::unique_ptr<ServerProcess> ceiling_;
  // The reading after one trial is the reading before the next when that follows at once.
  std::optional<double> last_ceiling_;
  SteadyTime last_ceiling_at_{};
};

// What the load generator's JSON says, as the validity rules take it. Throws nlohmann's exceptions for anything else.
ClientReport client_report(const nlohmann::json& load);

}  // namespace bakeoff
