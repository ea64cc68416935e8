// Small readings from /proc and /sys, and the kernel's accounting of delays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/processes/small_file.h"

namespace bakeoff {

// Whether the kernel counts how long tasks wait for disks (kernel.task_delayacct), FUSE file systems included.
bool delays_are_accounted();

// Has it count for as long as this lives, where that is allowed. Tasks that were there before are not counted.
class DelayAccounting {
 public:
  DelayAccounting();
  ~DelayAccounting();
  DelayAccounting(const DelayAccounting&) = delete;
  DelayAccounting& operator=(const DelayAccounting&) = delete;

 private:
  bool switched_on_;
};

// File pages that the machine holds in memory; empty when it cannot be read.
std::optional<std::uint64_t> page_cache_bytes();

// The files that switch on what the kernel does here to reclaim pages though memory is not short (DAMON); empty: it
// does not. `system`: where /sys is.
std::vector<std::string> proactive_reclaim(const std::filesystem::path& system = "/sys");

}  // namespace bakeoff
