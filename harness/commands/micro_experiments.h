// The papers' experiments that need no network: which systems (bakeoff-micro runs one trial of one), at how many tasks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bakeoff {

struct MicroExperiment {
  std::string name;
  std::string title;
  std::string found;     // by the paper
  std::string look_for;  // in the table
  std::string workload;  // what a task is
  std::vector<std::string> systems;
  std::vector<std::uint32_t> tasks;
};

const std::vector<MicroExperiment>& micro_experiments();

}  // namespace bakeoff
