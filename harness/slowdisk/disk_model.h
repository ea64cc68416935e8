// A disk, as a reader sees it: requests wait for an arm; an arm needs time to seek and to transfer. It does no I/O and
// reads no clock: the caller passes each time, in ns from any start, never decreasing from call to call.
//
// The number of arms decides whether server architectures differ: with one, the disk is the limit of all; with several,
// the server that keeps them all busy wins.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "workloads/distribution.h"

namespace bakeoff {

struct DiskParameters {
  Distribution seek_s = Distribution::constant(0);
  Distribution rotation_s = Distribution::constant(0);
  double rate_bytes_per_s = 0;  // of the transfer; 0: takes no time
  std::uint32_t arms = 1;
  bool sequential_is_free = true;  // a request that begins where its arm stands needs neither seek nor rotation
};

// A shipped disk by its name (scsi10k, ssd, constant), or a TOML file by its path; overrides are "key=value".
// UsageError for whatever is wrong. BLOCKS: disk.
DiskParameters load_disk(std::string_view name_or_path, const std::vector<std::string>& overrides = {});

struct DiskRequest {
  std::uint64_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  void* tag = nullptr;  // the caller's own
  // Of a completed one: which arm served it, from when to when, and when it was submitted.
  std::uint32_t arm = 0;
  std::int64_t submitted_ns = 0, started_ns = 0, ended_ns = 0;
};

struct DiskStatistics {
  std::uint64_t requests = 0;  // completed
  std::uint64_t bytes = 0;
  std::uint64_t sequential = 0;  // of the requests, how many needed no seek
  std::int64_t waited_ns = 0;    // for an arm, over all requests
  std::int64_t served_ns = 0;    // by an arm, over all requests: divided by arms and time, the utilisation
  std::uint64_t longest_queue = 0;
};

class DiskModel {
 public:
  DiskModel(const DiskParameters& parameters, std::uint64_t seed);

  void submit(const DiskRequest& request, std::int64_t now_ns);

  // When the next request in service completes; empty when none is in service.
  std::optional<std::int64_t> next_completion_ns() const;
  // The next request that is complete by now, in the order in which they complete.
  std::optional<DiskRequest> take_completed(std::int64_t now_ns);

  const DiskStatistics& statistics() const { return statistics_; }
  std::size_t waiting() const { return queue_.size(); }

 private:
  struct Arm {
    bool busy = false;
    std::int64_t until_ns = 0;
    DiskRequest request;
    std::uint64_t file = 0, position = 0;  // where it stands
    bool stands = false;
  };
  struct Waiting {
    DiskRequest request;
    std::int64_t since_ns;
  };

  Arm* idle_arm_for(const DiskRequest& request);
  const Arm* next_arm() const;
  void start(Arm& arm, const Waiting& waiting, std::int64_t start_ns);

  DiskParameters parameters_;
  Random random_;
  std::vector<Arm> arms_;
  std::deque<Waiting> queue_;  // first come, first served: no elevator, so that a run can be told by arithmetic
  DiskStatistics statistics_;
};

}  // namespace bakeoff
