// Whether a file's bytes are in memory, asked before they are sent, so that a helper and not the event loop waits for
// the disk (Flash asks mincore before each use of a mapping: Pai 1999, section 5.7).
#pragma once

#include <cstdint>
#include <string_view>

#include "core/files/body.h"

namespace bakeoff {

enum class Residency : std::uint8_t {
  none,            // assume that everything is in memory: whoever sends may wait
  mincore,         // of mapped files
  cachestat,       // of open files; Linux 6.5 and later
  nowait,          // preadv2(RWF_NOWAIT) of the first and the last byte of the range
  always_offload,  // assume that nothing is in memory: every body is sent by whoever waits for disks (Knot)
};

std::string_view name_of(Residency residency);

// The most bytes asked for at once; a longer body is asked for and sent piece by piece.
inline constexpr std::uint64_t residency_range_bytes = 256 * 1024;

// Whether the kernel has what the check needs (cachestat is young).
bool is_supported(Residency residency);

// Never waits for the disk. Bytes in user memory are always there.
bool is_resident(Residency residency, const FileBytes& file, std::uint64_t offset, std::uint64_t length);

}  // namespace bakeoff
