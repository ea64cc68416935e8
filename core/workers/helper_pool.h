// Helpers of AMPED: processes reached over pipes, one job at a time each, started on demand up to a bound; they answer
// with a notification alone (Pai 1999, sections 3.4 and 5). As threads they make AMTED.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/files/disk_job.h"
#include "core/stats.h"
#include "core/trace/region.h"

namespace bakeoff {

enum class HelperKind : std::uint8_t { processes, threads };

class HelperPool {
 public:
  using Token = std::uint64_t;  // the caller's name for a job

  using Counters = HelperCounters;

  virtual ~HelperPool() = default;

  // Gives the job to a free helper; else starts one if the bound allows; else queues the job. If there is no helper
  // and none can be started (no memory, no descriptors), the job is reported as finished at once, by a descriptor.
  // Never blocks on the disk. Throws std::bad_alloc; the job is then not taken. REQUIRES: token is not in use by an
  // unfinished job.
  virtual void submit(const DiskJob& job, Token token) = 0;

  // Descriptors that become readable when a job is finished; `watch` is called for each, now and whenever a helper is
  // added, `unwatch` before one is closed (not by the destructor). Call once, before the first submit.
  virtual void attach(std::function<void(int fd)> watch, std::function<void(int fd)> unwatch) = 0;

  // Call when fd (one given to `watch`) is readable: calls finished(token) for each job that is done. A job whose
  // helper died counts as done, too: the caller's next attempt then waits for the disk itself. `finished` may call
  // submit(). A descriptor that is no longer watched, or not readable, is ignored. Throws std::bad_alloc; fd then stays
  // readable, so call it again.
  virtual void collect(int fd, const std::function<void(Token)>& finished) = 0;

  // Takes back a job that is not finished, which is then never reported. Replaces the helper that works on it, because
  // its disk may hang or the helper may have been stopped: a process is killed, a thread is left alone until it comes
  // back. Do not use its token again. Throws std::bad_alloc; the job then stays.
  virtual void give_up(Token token) = 0;

  virtual const Counters& counters() const = 0;
};

// most: the bound on helpers, at least 1. Helper processes close every descriptor but their pipe and root_fd, so that
// no connection outlives the server's close. The pool waits for them by their process ids alone. Both kinds end when
// the pool is destroyed (BLOCKS: disk, for a read under way, at most a second) or its process dies; helper processes
// already when the thread that submits ends. Throws StartError.
// trace: where they record what they do; nullptr: nowhere.
std::unique_ptr<HelperPool> make_helper_pool(HelperKind kind, int most, int root_fd, TraceRegion* trace = nullptr);

}  // namespace bakeoff
