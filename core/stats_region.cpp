#include "core/stats_region.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {
namespace {

constexpr const char* region_name = "bakeoff-stats";
constexpr std::string_view region_magic = "bakeoff stats 1";

}  // namespace

StatsRegion::StatsRegion(std::string_view server)
    : StatsRegion(VisibleMemory(region_name, size_bytes, "the counters")) {
  region_magic.copy(header_->magic, sizeof header_->magic - 1);
  header_->layout = stats_layout();
  server.copy(header_->server, sizeof header_->server - 1);
}

StatsRegion::StatsRegion(VisibleMemory memory)
    : memory_(std::move(memory)), header_(static_cast<Header*>(memory_.data())) {}

StatsRegion StatsRegion::of_process(pid_t pid) {
  const std::string who = "process " + std::to_string(pid);
  VisibleMemory memory = VisibleMemory::of_process(
      pid, region_name, " is not a bakeoff server; give the pid of one, which is in its ready line");
  if (memory.bytes() != size_bytes)
    throw UsageError(who + " is not a bakeoff server, or one of another build; use the bakeoff of its build");
  StatsRegion region(std::move(memory));
  if (region_magic != region.header_->magic || region.header_->layout != stats_layout()) {
    throw UsageError(who + " is a server of another build, whose counters differ; use the bakeoff of that build");
  }
  return region;
}

// Why `used` needs no lock: it only grows. Each worker raises it to at least its own number plus one before it counts,
// and a failed exchange begins again from the value it found. A reader finds pages of existing workers, or fresh pages
// of zeros: an early reader sees a worker that has counted nothing.
WorkerStats& StatsRegion::of_worker(int number) {
  BAKEOFF_CHECK(0 <= number && number < most_workers);
  int used = header_->used.load();
  while (used <= number && !header_->used.compare_exchange_weak(used, number + 1)) {
  }
  return reinterpret_cast<WorkerStats*>(header_ + 1)[number];
}

std::span<const WorkerStats> StatsRegion::used() const {
  const int count = std::clamp(header_->used.load(), 0, most_workers);
  return {reinterpret_cast<const WorkerStats*>(header_ + 1), static_cast<std::size_t>(count)};
}

nlohmann::ordered_json StatsRegion::to_json() const {
  nlohmann::ordered_json statistics;
  statistics["event"] = "statistics";
  statistics["server"] = visible({header_->server, ::strnlen(header_->server, sizeof header_->server)});
  statistics["total"] = total_json(used());
  statistics["workers"] = nlohmann::ordered_json::array();
  for (const WorkerStats& worker : used()) statistics["workers"].push_back(bakeoff::to_json(worker));
  return statistics;
}

}  // namespace bakeoff
