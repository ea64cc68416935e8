// The systems that the micro-experiments compare: a closed loop of tasks, each an 8 KB read of one cached file, run by
// kernel threads, by one event loop or by user-level threads (Welsh 2001, figures 2 and 4; von Behren 2003, figure 2).
// A new task replaces a finished one at once, so the number in the system is constant.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "results/histogram.h"

namespace bakeoff {

inline constexpr std::size_t task_bytes = 8192;

struct MicroSettings {
  std::uint32_t tasks = 1;  // in the system at once; threads too, where there are threads
  double warmup_s = 0.1;
  double duration_s = 0.5;
};

struct MicroFigures {
  double duration_s = 0;  // that was measured
  std::uint64_t done = 0;
  Histogram latency;  // from a task's arrival in the queue to its end
  double cpu_s = 0;   // of the process, in the measured time
  std::uint64_t kernel_switches = 0;
  std::uint64_t user_switches = 0;
};

// One of micro_systems(). The threads are made before the time begins. Throws UsageError for another name, StartError
// when there are too few threads, or no file. BLOCKS: for the whole time.
MicroFigures run_micro_system(std::string_view name, const MicroSettings& settings);
const std::vector<std::string_view>& micro_systems();

}  // namespace bakeoff
