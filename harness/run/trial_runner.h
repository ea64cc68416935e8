// One trial: a fresh server, one run of the load generator, what both used, and the ceiling before and after.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "harness/ground/cgroup.h"
#include "harness/machine/environment.h"
#include "harness/ground/file_sets.h"
#include "harness/machine/process_probe.h"
#include "harness/ground/programs.h"
#include "harness/processes/server_process.h"
#include "harness/ground/slow_disk.h"
#include "results/model.h"

namespace bakeoff {

class TrialRunner {
 public:
  // All of it must outlive the runner. Starts ceiling programs as they are needed, which then idle between their readings.
  TrialRunner(Programs& programs, const Specification& spec, const Materials& materials, Placement placement);
  ~TrialRunner();

  // Starts the cell's server and has it answer every file. StartError when it does not start or not verify.
  void verify(const Cell& cell);
  // Never throws for what a server or client does: that makes the trial invalid, with the reason. BLOCKS: the trial's time.
  Trial run(const Cell& cell, const TrialKey& key, std::uint32_t attempt);

 private:
  // What stands under one server: declared before it, so that it outlives it.
  struct Ground {
    std::unique_ptr<SlowDisk> disk;
    std::unique_ptr<ServerLimits> limits;
  };
  Ground lay(const Cell& cell, bool to_verify);
  Command server_command(std::vector<std::string> arguments, const Ground& ground) const;
  std::unique_ptr<ServerProcess> start(const Cell& cell, const Ground& ground);
  std::unique_ptr<ServerProcess> start_outside(const Cell& cell, const Ground& ground);
  struct LoadTimes {
    double warmup_s;
    double duration_s;
  };
  Command load_command(const Cell& cell, std::uint16_t port, std::uint64_t seed, LoadTimes times) const;
  void prepare_machine(const Cell& cell, Trial& trial);
  void measure(const Cell& cell, Trial& trial);
  nlohmann::json profile(const Cell& cell, ServerProcess& server);
  const std::filesystem::path& scratch();
  struct CeilingReading {
    std::optional<double> replies_per_s;
    std::optional<double> cpu_us_per_reply;
  };
  struct Ceiling {
    std::unique_ptr<ServerProcess> server;
    // The reading after one trial is the reading before the next when that follows at once.
    CeilingReading last;
    SteadyTime last_at{};
  };
  Ceiling& ceiling_of(const Cell& cell);
  CeilingReading read(Ceiling& ceiling);

  Programs& programs_;
  Reactor& reactor_;
  const Specification& spec_;
  const Materials& materials_;
  std::filesystem::path scratch_;  // of outside servers and perf
  Placement placement_;
  std::map<std::uint64_t, Ceiling> ceilings_;  // by the size of their canned reply
  std::unique_ptr<DelayAccounting> delay_accounting_;
};

// What the load generator's JSON says, as the validity rules take it. Throws nlohmann's exceptions for anything else.
ClientReport client_report(const nlohmann::json& load);

}  // namespace bakeoff
