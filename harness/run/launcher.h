// Starts the servers under test, ours and outside ones, on what stands under them, and verifies them.
#pragma once

#include <filesystem>
#include <memory>

#include "harness/ground/cgroup.h"
#include "harness/ground/file_sets.h"
#include "harness/ground/network.h"
#include "harness/ground/programs.h"
#include "harness/ground/slow_disk.h"
#include "harness/machine/environment.h"
#include "harness/processes/server_process.h"
#include "harness/run/verifier.h"
#include "results/model.h"

namespace bakeoff {

// What a cell adds to the command line of a server of ours: workers, options, and what its workload needs.
std::vector<std::string> cell_arguments(const Cell& cell, const Workload& workload);

class Launcher {
 public:
  // All of it must outlive the launcher.
  Launcher(Programs& programs, const Specification& spec, const FileSets& file_sets, const Placement& placement)
      : programs_(programs), spec_(spec), file_sets_(file_sets), placement_(placement) {}
  ~Launcher();
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  // What stands under one server: declared before it, so that it outlives it. While it lives, the harness and what it
  // starts are in the trial's own network, where it has one.
  struct Ground {
    std::unique_ptr<Network> network;
    std::unique_ptr<Network::Inside> inside;
    std::unique_ptr<SlowDisk> disk;
    std::unique_ptr<ServerLimits> limits;
  };
  // Every trial begins with a fresh network and the same pages in memory: a slow disk is mounted anew. During
  // verification the disk takes no time. StartError when it is not available. BLOCKS: until a slow disk's cache
  // is filled.
  Ground lay(const Cell& cell, bool to_verify);
  // StartError when it does not start. BLOCKS: until it is ready.
  std::unique_ptr<ServerProcess> start(const Cell& cell, const Ground& ground);
  // Starts the cell's server and has it answer every file. StartError when it does not start or not verify. BLOCKS.
  KeptConnections verify(const Cell& cell);

  // A directory for what outside servers and perf write; gone with the launcher.
  const std::filesystem::path& scratch();

 private:
  Command server_command(std::vector<std::string> arguments, const Ground& ground) const;
  std::unique_ptr<ServerProcess> start_outside(const Cell& cell, const std::string& definition, const Ground& ground);

  Programs& programs_;
  const Specification& spec_;
  const FileSets& file_sets_;
  const Placement& placement_;
  std::filesystem::path scratch_;
};

}  // namespace bakeoff
