#include "core/stats.h"

#include <algorithm>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/check.h"

namespace bakeoff {
namespace {

using Field = std::pair<std::string_view, Counter WorkerStats::*>;

constexpr Field fields[] = {
    {"accepts", &WorkerStats::accepts},
    {"accepts_empty", &WorkerStats::accepts_empty},
    {"accepts_failed", &WorkerStats::accepts_failed},
    {"refused", &WorkerStats::refused},
    {"requests", &WorkerStats::requests},
    {"body_bytes", &WorkerStats::body_bytes},
    {"partial_sends", &WorkerStats::partial_sends},
    {"would_block_receives", &WorkerStats::would_block_receives},
    {"would_block_sends", &WorkerStats::would_block_sends},
    {"polls", &WorkerStats::polls},
    {"poll_ready", &WorkerStats::poll_ready},
    {"poll_watched", &WorkerStats::poll_watched},
    {"cache_hits", &WorkerStats::cache_hits},
    {"cache_misses", &WorkerStats::cache_misses},
    {"residency_checks", &WorkerStats::residency_checks},
    {"residency_absent", &WorkerStats::residency_absent},
    {"disk_waits", &WorkerStats::disk_waits},
    {"helper_jobs", &WorkerStats::helper_jobs},
    {"user_switches", &WorkerStats::user_switches},
    {"batches", &WorkerStats::batches},
    {"batch_connections", &WorkerStats::batch_connections},
    {"stage_queued", &WorkerStats::stage_queued},
    {"stage_wait_us", &WorkerStats::stage_wait_us},
    {"stage_threads_added", &WorkerStats::stage_threads_added},
    {"stage_threads_ended", &WorkerStats::stage_threads_ended},
    {"stage_batches_raised", &WorkerStats::stage_batches_raised},
    {"stage_batches_lowered", &WorkerStats::stage_batches_lowered},
    {"stage_admission_raised", &WorkerStats::stage_admission_raised},
    {"stage_admission_lowered", &WorkerStats::stage_admission_lowered},
    {"shed", &WorkerStats::shed},
    {"closed_by_us", &WorkerStats::closed_by_us},
    {"closed_by_peer", &WorkerStats::closed_by_peer},
    {"closed_reset", &WorkerStats::closed_reset},
    {"closed_request_timeout", &WorkerStats::closed_request_timeout},
    {"closed_idle_timeout", &WorkerStats::closed_idle_timeout},
    {"closed_send_timeout", &WorkerStats::closed_send_timeout},
    {"closed_file_changed", &WorkerStats::closed_file_changed},
    {"closed_error", &WorkerStats::closed_error},
};

std::size_t place_of(int status) {
  const auto* place = std::find(reply_statuses.begin(), reply_statuses.end(), status);
  BAKEOFF_CHECK(place != reply_statuses.end());
  return static_cast<std::size_t>(place - reply_statuses.begin());
}

}  // namespace

void WorkerStats::count_reply(int status, std::uint64_t bytes) {
  replies[place_of(status)].add();
  body_bytes.add(bytes);
}

void WorkerStats::uncount_reply(int status, std::uint64_t bytes) {
  replies[place_of(status)].take_back();
  body_bytes.take_back(bytes);
}

nlohmann::ordered_json total_json(std::span<const WorkerStats> workers) {
  nlohmann::ordered_json object;
  for (const auto& [name, counter] : fields) {
    std::uint64_t sum = 0;
    for (const WorkerStats& worker : workers) sum += (worker.*counter).get();
    object[std::string(name)] = sum;
  }
  nlohmann::ordered_json by_status = nlohmann::ordered_json::object();
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < reply_statuses.size(); ++i) {
    std::uint64_t sum = 0;
    for (const WorkerStats& worker : workers) sum += worker.replies[i].get();
    if (sum != 0) by_status[std::to_string(reply_statuses[i])] = sum;
    all += sum;
  }
  object["replies"] = all;
  object["replies_by_status"] = by_status;
  return object;
}

nlohmann::ordered_json to_json(const WorkerStats& stats) { return total_json({&stats, 1}); }

}  // namespace bakeoff
