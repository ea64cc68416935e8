#include "harness/run/soak.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "results/statistics.h"

namespace bakeoff {
namespace {

constexpr double most_bytes_per_request = 20;
constexpr double least_bytes = 256 * 1024;  // below, an allocator's own ups and downs
constexpr double most_more = 16;            // descriptors or tasks

}  // namespace

SoakGrowth growth_of(const SoakRecord& record) {
  const std::size_t third = record.samples.size() / 3;
  BAKEOFF_CHECK(third >= 2);
  const auto change = [&](double SoakSample::*figure) {
    const auto of = [&](std::size_t from, std::size_t to) {
      std::vector<double> values;
      for (std::size_t i = from; i < to; ++i) values.push_back(record.samples[i].*figure);
      return median(values);
    };
    return of(record.samples.size() - third, record.samples.size()) -
           of(record.samples.size() - 2 * third, record.samples.size() - third);
  };
  SoakGrowth growth;
  growth.memory_bytes = change(&SoakSample::memory_bytes);
  growth.descriptors = change(&SoakSample::descriptors);
  growth.tasks = change(&SoakSample::tasks);
  const double requests = change(&SoakSample::at_s) * record.replies_per_s;
  if (requests > 0) growth.memory_bytes_per_request = growth.memory_bytes / requests;
  return growth;
}

std::vector<std::string> grows(const SoakGrowth& baseline, const SoakGrowth& candidate) {
  std::vector<std::string> why;
  const double memory = candidate.memory_bytes_per_request - std::max(0.0, baseline.memory_bytes_per_request);
  if (memory > most_bytes_per_request && candidate.memory_bytes - std::max(0.0, baseline.memory_bytes) > least_bytes) {
    why.push_back(fmt::format(
        "memory grows by {:.0f} bytes a request, {:.1f} MB in a third of the time (baseline: {:.0f} bytes)",
        candidate.memory_bytes_per_request, candidate.memory_bytes * 1e-6, baseline.memory_bytes_per_request));
  }
  const auto compare = [&](const char* what, double before, double after) {
    if (after - std::max(0.0, before) > most_more)
      why.push_back(fmt::format("{} grow by {:.0f} in a third of the time (baseline: {:.0f})", what, after, before));
  };
  compare("descriptors", baseline.descriptors, candidate.descriptors);
  compare("tasks", baseline.tasks, candidate.tasks);
  return why;
}

nlohmann::json to_json(const SoakRecord& record) {
  nlohmann::json samples = nlohmann::json::array();
  for (const SoakSample& one : record.samples) {
    samples.push_back({{"at_s", one.at_s},
                       {"memory_bytes", one.memory_bytes},
                       {"descriptors", one.descriptors},
                       {"tasks", one.tasks}});
  }
  return {{"samples", samples}, {"replies_per_s", record.replies_per_s}, {"failure", record.failure}};
}

}  // namespace bakeoff
