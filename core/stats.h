// What a worker counts. One writer each, in memory that the server's processes share: no counter is contended, anybody
// may read while the server runs, and the counts of a killed worker survive it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace bakeoff {

// Written by one thread, read by any: a plain add, no locked instruction.
//
// Why it is correct: only the owner stores, so no store is lost. A reader sees a value that the counter had, never
// half of one (the word is lock-free), and never an older value than before. No other memory depends on a counter, so
// relaxed order is enough. Two counters of one worker, read one after the other, may differ by what was counted between
// the reads; that does not matter for differences over a trial.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void take_back(std::uint64_t n = 1) { add(-n); }
  void raise_to(std::uint64_t n) {
    if (n > get()) set(n);
  }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// The statuses a server sends; replies are counted by their place here.
inline constexpr std::array<int, 16> reply_statuses = {200, 301, 304, 400, 403, 404, 405, 408,
                                                       412, 413, 414, 431, 500, 501, 503, 505};

// Each worker's counters have a page of their own: readers of that page do not disturb other workers.
inline constexpr std::size_t stats_page_bytes = 4096;

// What is counted where jobs wait for helpers or kernel worker threads.
struct HelperCounters {
  std::uint64_t started = 0;      // helpers ever started
  std::uint64_t jobs = 0;         // jobs submitted
  std::uint64_t queued = 0;       // jobs that were waiting already when one came, over all
  std::uint64_t queued_most = 0;  // longest queue of jobs that waited for a free helper
  std::uint64_t wait_ns = 0;      // in that queue, over all jobs
  std::uint64_t died = 0;         // helpers that ended with a job in hand
  std::uint64_t given_up = 0;     // jobs that were taken back because they took too long
};

// What a scheduler of user-level threads counts.
struct UserThreadCounters {
  std::uint64_t switches = 0;            // user-level context switches
  std::uint64_t polls = 0;               // calls of the event mechanism
  std::uint64_t polled_descriptors = 0;  // sum over those calls of descriptors watched
  std::uint64_t found_ready = 0;         // sum over those calls of descriptors found ready
  HelperCounters workers;                // its kernel worker threads
};

struct CacheUse;

struct alignas(stats_page_bytes) WorkerStats {
  Counter accepts;
  Counter accepts_empty;     // the listening socket was said to be ready, yet another worker was faster
  Counter accepts_failed;    // out of descriptors or memory
  Counter refused;           // answered 503 because all connections were in use (--admission=refuse)
  Counter processes_failed;  // times that no process could be started to take this worker's place
  Counter requests;
  std::array<Counter, reply_statuses.size()> replies;
  Counter body_bytes;     // of replies, without heads
  Counter partial_sends;  // the socket took less than was offered
  Counter would_block_receives;
  Counter would_block_sends;
  Counter polls;         // calls of the event mechanism
  Counter poll_ready;    // descriptors found ready, over all calls
  Counter poll_watched;  // descriptors watched, over all calls
  Counter cache_hits;    // requests whose name the cache knew, even where the file had to be opened again
  Counter cache_misses;
  Counter path_hits;  // of each of the three caches, where it is on
  Counter path_misses;
  Counter head_hits;
  Counter head_misses;
  Counter file_hits;
  Counter file_misses;
  Counter residency_checks;
  Counter residency_absent;  // checks that found a page missing
  Counter disk_waits;        // times a connection wanted the disk
  Counter disk_blocked_ns;   // this worker itself took the step announced by Want::disk: a name, or a piece of a body
                             // that a check had found absent (with --send=blocking the socket's time is in it, too)
  Counter room_waits;        // times it polled one full socket itself (--send=timed)
  Counter helper_jobs;       // of the wants for the disk, handed to a helper or a kernel worker thread
  Counter helpers_started;
  Counter helper_jobs_given_up;  // they took longer than --helper-timeout
  Counter helpers_died;          // with a job in hand, which was then waited for by whoever had submitted it
  Counter helper_queued;         // jobs found waiting before a new one, over all jobs
  Counter helper_queue_most;
  Counter helper_wait_ns;     // from a job's coming to its being taken, over all that found nobody free
  Counter user_switches;      // context switches between user-level threads
  Counter batches;            // batches handed to the next stage
  Counter batch_connections;  // connections in those
  Counter batch_most;         // in one of them
  Counter stage_queued;       // connections found waiting when a batch came, or (SEDA) was taken, over all batches
  Counter stage_queue_most;
  // Of stages behind event queues (SEDA).
  Counter stage_wait_us;         // time that events waited in queues
  Counter stage_threads_added;   // by the thread-pool controller
  Counter stage_threads_ended;   // because they had nothing to do
  Counter stage_batches_raised;  // by the batching controller: the most that is taken at once
  Counter stage_batches_lowered;
  Counter stage_admission_raised;  // by the overload controller: the rate
  Counter stage_admission_lowered;
  Counter shed;  // requests answered 503 in place of a wait for the disk
  // Why connections ended.
  Counter closed_by_us;  // after a reply that ended the connection
  Counter closed_by_peer;
  Counter closed_reset;
  Counter closed_request_timeout;
  Counter closed_idle_timeout;
  Counter closed_send_timeout;
  Counter closed_for_newcomer;  // idle in a full house (--admission=close-idle)
  Counter closed_file_changed;  // the file became shorter than the head had promised
  Counter closed_no_memory;     // a step, or the event mechanism, found no memory for it
  Counter closed_error;

  void count_cache(const CacheUse& use);
  void set_user_threads(const UserThreadCounters& threads);
  void set_helpers(const HelperCounters& helpers);
  void count_batch(std::size_t connections, std::size_t waiting_before);
  void count_reply(int status, std::uint64_t bytes);
  void uncount_reply(int status, std::uint64_t bytes);  // it did not leave whole after all
};

// Changes whenever a counter is added, taken away, renamed or moved.
std::uint64_t stats_layout();

// One JSON object of a worker's counters; of all of them together with total.
nlohmann::ordered_json to_json(const WorkerStats& stats);
nlohmann::ordered_json total_json(std::span<const WorkerStats> workers);

}  // namespace bakeoff
