// What is served and asked for: the workloads of an experiment's cells, each loaded once, with its files on the disk.
#pragma once

#include <filesystem>
#include <map>
#include <vector>

#include "harness/plan/specification.h"
#include "harness/processes/reactor.h"
#include "results/model.h"
#include "workloads/workload.h"

namespace bakeoff {

// "key=value" for load_workload(): those of the specification, then what the cell's axes set.
std::vector<std::string> workload_overrides(const Specification& spec, const Cell& cell);

class FileSets {
 public:
  // Loads every workload that the cells ask for, and makes their files or finds them. UsageError for an override that
  // the workload does not know. BLOCKS: disk.
  FileSets(Reactor& reactor, const Specification& spec, const std::vector<Cell>& cells);

  struct Made {
    Workload workload;
    std::filesystem::path root;
  };
  // Of a cell that it was made for; the rate does not matter.
  const Made& of(const Cell& cell) const;

 private:
  std::map<std::map<std::string, std::string>, Made> by_set_;  // Cell::workload_set
};

// Where file sets are made and reused: $BAKEOFF_FILES, else bakeoff/ in $XDG_CACHE_HOME or in ~/.cache if there is
// a home, else in /var/tmp.
std::filesystem::path file_sets_dir();

// Makes the workload's files, or finds them, and returns where they are; with a slow disk, where that will be mounted.
// BLOCKS: disk.
std::filesystem::path make_files(Reactor& reactor, const Specification& spec, const Workload& workload);

}  // namespace bakeoff
