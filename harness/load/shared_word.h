// Waits for a word in memory that forked processes share; std::atomic's own wait is for threads of one process only.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

namespace bakeoff {

using SharedWord = std::atomic<std::uint32_t>;
static_assert(sizeof(SharedWord) == sizeof(std::uint32_t) && SharedWord::is_always_lock_free);

// Returns when the word no longer has that value, on a signal, after most_ns (below a second), or for no reason at all:
// callers look again. A change before the wait begins is never missed, since the kernel compares the word itself.
// BLOCKS: at most most_ns.
inline void wait_while(const SharedWord& word, std::uint32_t value, std::int64_t most_ns) {
  const timespec most{0, most_ns};
  syscall(SYS_futex, reinterpret_cast<const std::uint32_t*>(&word), FUTEX_WAIT, value, &most, nullptr, 0);
}

inline void wake_all(SharedWord& word) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace bakeoff
