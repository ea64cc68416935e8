// Synthetic replies for the workload `dynamic`: the target says how much CPU time a reply takes, how long it waits (as
// for a database), and how many bytes it has. No paper has them. All servers make them alike; the architecture decides
// who waits (Want::timer).
//
//   /dynamic/burn-200us/wait-5ms/size-1000
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bakeoff {

struct SyntheticReply {
  static constexpr std::uint64_t most_burn_us = 1'000'000;
  static constexpr std::uint64_t most_wait_ms = 60'000;
  static constexpr std::uint64_t most_bytes = 1 << 20;

  std::uint64_t burn_us = 0;  // of processor time, by whoever serves the connection just then
  std::uint64_t wait_ms = 0;  // good to a clock tick, as all deadlines are
  std::uint64_t bytes = 0;
  bool operator==(const SyntheticReply&) const = default;
};

// The target that asks for it.
std::string target_of(const SyntheticReply& reply);
// What a target in its normal form (target.h) asks for; empty for any other target, or values above the most.
std::optional<SyntheticReply> parse_synthetic_reply(std::string_view target);

// Keeps the processor busy for so long; what others take meanwhile does not count. BLOCKS: for that time.
void burn(std::uint64_t burn_us);

}  // namespace bakeoff
