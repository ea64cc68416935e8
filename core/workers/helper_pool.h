// Helpers of AMPED: processes reached over pipes, one job at a time each, started on demand up to a bound; they answer
// with a notification alone (Pai 1999, sections 3.4 and 5). As threads they make AMTED.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/files/disk_job.h"
#include "core/stats.h"

namespace bakeoff {

enum class HelperKind : std::uint8_t { processes, threads };

class HelperPool {
 public:
  using Token = std::uint64_t;  // the caller's name for a job

  using Counters = HelperCounters;

  virtual ~HelperPool() = default;

  // Hands the job to a free helper, starts one if none is free and the bound allows, queues it otherwise. Where no helper
  // is left and none can be started (no memory, no descriptors), the job is reported as finished at once, by a descriptor.
  // Never blocks on the disk. REQUIRES: token is not in use by an unfinished job.
  virtual void submit(const DiskJob& job, Token token) = 0;

  // Descriptors that become readable when a job is finished; `watch` is called for each, now and whenever a helper is
  // added, `unwatch` before one is closed (not by the destructor). Call once, before the first submit.
  virtual void attach(std::function<void(int fd)> watch, std::function<void(int fd)> unwatch) = 0;

  // fd (one given to `watch`) is readable: calls finished(token) for each job that is done. A job whose helper died
  // counts as done too: the caller's next attempt then waits for the disk itself. `finished` may call submit(). A
  // descriptor that is no longer watched, or not readable, is ignored.
  virtual void collect(int fd, const std::function<void(Token)>& finished) = 0;

  virtual const Counters& counters() const = 0;
};

// most: the bound on helpers, at least 1. Helper processes close every descriptor but their pipe and root_fd, so that no
// connection outlives the server's close. They are waited for by their process ids alone. Both kinds end when the pool is
// destroyed (BLOCKS: disk, for a read under way) or its process dies; helper processes already when the thread that
// submits ends. Throws StartError.
std::unique_ptr<HelperPool> make_helper_pool(HelperKind kind, int most, int root_fd);

}  // namespace bakeoff
