#include "core/stats.h"

#include <algorithm>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/files/file_cache.h"

namespace bakeoff {
namespace {

// How the workers' figures become one.
enum class Sum : std::uint8_t { all, greatest };

struct Field {
  std::string_view name;
  Counter WorkerStats::*counter;
  Sum sum = Sum::all;
};

constexpr Field fields[] = {
    {"accepts", &WorkerStats::accepts},
    {"accepts_empty", &WorkerStats::accepts_empty},
    {"accepts_failed", &WorkerStats::accepts_failed},
    {"refused", &WorkerStats::refused},
    {"processes_failed", &WorkerStats::processes_failed},
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
    {"path_hits", &WorkerStats::path_hits},
    {"path_misses", &WorkerStats::path_misses},
    {"head_hits", &WorkerStats::head_hits},
    {"head_misses", &WorkerStats::head_misses},
    {"file_hits", &WorkerStats::file_hits},
    {"file_misses", &WorkerStats::file_misses},
    {"residency_checks", &WorkerStats::residency_checks},
    {"residency_absent", &WorkerStats::residency_absent},
    {"disk_waits", &WorkerStats::disk_waits},
    {"disk_blocked_ns", &WorkerStats::disk_blocked_ns},
    {"room_waits", &WorkerStats::room_waits},
    {"helper_jobs", &WorkerStats::helper_jobs},
    {"helpers_started", &WorkerStats::helpers_started},
    {"helper_jobs_given_up", &WorkerStats::helper_jobs_given_up},
    {"helpers_died", &WorkerStats::helpers_died},
    {"helper_queued", &WorkerStats::helper_queued},
    {"helper_queue_most", &WorkerStats::helper_queue_most, Sum::greatest},
    {"helper_wait_ns", &WorkerStats::helper_wait_ns},
    {"user_switches", &WorkerStats::user_switches},
    {"batches", &WorkerStats::batches},
    {"batch_connections", &WorkerStats::batch_connections},
    {"batch_most", &WorkerStats::batch_most, Sum::greatest},
    {"stage_queued", &WorkerStats::stage_queued},
    {"stage_queue_most", &WorkerStats::stage_queue_most, Sum::greatest},
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
    {"closed_for_newcomer", &WorkerStats::closed_for_newcomer},
    {"closed_file_changed", &WorkerStats::closed_file_changed},
    {"closed_no_memory", &WorkerStats::closed_no_memory},
    {"closed_error", &WorkerStats::closed_error},
};

std::size_t place_of(int status) {
  const auto* place = std::find(reply_statuses.begin(), reply_statuses.end(), status);
  BAKEOFF_CHECK(place != reply_statuses.end());
  return static_cast<std::size_t>(place - reply_statuses.begin());
}

}  // namespace

void WorkerStats::count_cache(const CacheUse& use) {
  const auto count = [](CacheUse::Of of, Counter& hits, Counter& misses) {
    if (of == CacheUse::Of::hit) hits.add();
    if (of == CacheUse::Of::miss) misses.add();
  };
  count(use.path, path_hits, path_misses);
  count(use.head, head_hits, head_misses);
  count(use.file, file_hits, file_misses);
}

void WorkerStats::set_helpers(const HelperCounters& helpers) {
  helper_jobs.set(helpers.jobs);
  helpers_started.set(helpers.started);
  helpers_died.set(helpers.died);
  helper_jobs_given_up.set(helpers.given_up);
  helper_queued.set(helpers.queued);
  helper_queue_most.set(helpers.queued_most);
  helper_wait_ns.set(helpers.wait_ns);
}

void WorkerStats::set_user_threads(const UserThreadCounters& threads) {
  user_switches.set(threads.switches);
  polls.set(threads.polls);
  poll_ready.set(threads.found_ready);
  poll_watched.set(threads.polled_descriptors);
  set_helpers(threads.workers);
}

void WorkerStats::count_batch(std::size_t connections, std::size_t waiting_before) {
  batches.add();
  batch_connections.add(connections);
  batch_most.raise_to(connections);
  stage_queued.add(waiting_before);
  stage_queue_most.raise_to(waiting_before);
}

void WorkerStats::count_reply(int status, std::uint64_t bytes) {
  replies[place_of(status)].add();
  body_bytes.add(bytes);
}

void WorkerStats::uncount_reply(int status, std::uint64_t bytes) {
  replies[place_of(status)].take_back();
  body_bytes.take_back(bytes);
}

std::uint64_t stats_layout() {
  std::uint64_t hash = 14695981039346656037ull;  // FNV-1a
  const auto add = [&](std::string_view bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  };
  const WorkerStats stats;
  for (const Field& field : fields) {
    add(field.name);
    add(std::to_string(reinterpret_cast<const char*>(&(stats.*field.counter)) - reinterpret_cast<const char*>(&stats)));
  }
  for (const int status : reply_statuses) add(std::to_string(status));
  return hash;
}

nlohmann::ordered_json total_json(std::span<const WorkerStats> workers) {
  nlohmann::ordered_json object;
  for (const Field& field : fields) {
    std::uint64_t sum = 0;
    for (const WorkerStats& worker : workers) {
      const std::uint64_t one = (worker.*field.counter).get();
      sum = field.sum == Sum::all ? sum + one : std::max(sum, one);
    }
    object[std::string(field.name)] = sum;
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
