// How full the server is, over all its processes, and which of its connections have been idle longest: what
// --admission=close-idle needs to know. nginx does the same with its "reusable" connections.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "core/sharing/shared_memory.h"

namespace bakeoff {

// Nobody is idle in a full house: how long until it is looked at again.
inline constexpr std::int64_t full_house_pause_ms = 10;

class Occupancy {
 public:
  struct Settings {
    int connections = 1;       // most at once, over all processes
    int most_processes = 1;    // numbers that they may have
    int descriptors = 1;       // one past the highest of a process
    bool closes_idle = false;  // else the calls below `idle` cost a comparison and do nothing
  };
  // In the process that forks the others, if there are others. Throws StartError.
  explicit Occupancy(const Settings& settings);

  // This process is `number` from now on, and holds no connection. Not called: it is process 0.
  void begin_process(int number);

  void entered() { own_->open.fetch_add(1, std::memory_order_relaxed); }
  void left(int fd);
  // Connections that this process holds.
  int open() const { return own_->open.load(std::memory_order_relaxed); }
  // BLOCKS: until there are fewer of them. For one thread of the process.
  void wait_below(int most) const;

  // --- idle: from here on with closes_idle alone; any thread of the process may call. The two that every request
  // --- calls compare in the caller, because few servers close who is idle.

  // The connection waits for the first byte of a request, from now on.
  void idle_begins(int fd) {
    if (settings_.closes_idle) note_idle(fd);
  }
  // A byte has come, or the end of input. True: it was told to end, and will.
  bool idle_ends(int fd) { return settings_.closes_idle && note_busy(fd); }

  // Whether there is a connection of this process to close for a newcomer, and no room without. `apart`: what waits at
  // this process's listening socket waits for nobody else, so that the room of other processes is no help.
  bool can_make_room(bool apart);
  // Tells this process's longest idle connection to end: its owner receives the end of its input, after any request
  // that came just before. False: none is idle.
  bool end_longest_idle();
  // For who is idle and waits in calls, and so cannot accept: ends a connection if more clients wait than there is or
  // will be room for, and than processes have connections that have been idle for longer. waiting(): how many wait.
  template <class Waiting>
  void make_room(Waiting waiting, bool apart) {
    const std::lock_guard lock(mutex_);
    // In this order: a client that is accepted meanwhile no longer waits.
    const std::optional<int> before = served_before(apart);
    if (before && waiting() > *before) end_longest_idle_locked();
  }

 private:
  // How many clients will be served without this process ending a connection; nothing when it has none that is idle.
  std::optional<int> served_before(bool apart) const;

  // Of a process. A connection that ends for a newcomer is first leaving, then not idle, then not open, then not
  // leaving. Who reads does so in an order in which such a change gives too much room rather than too little: idle,
  // leaving, open. Then nobody ends a second connection for the same newcomer.
  // A killed process's stays as it was until the next of its number begins: until then it has no room.
  struct alignas(64) Place {
    std::atomic<int> open;
    std::atomic<int> leaving;                   // of them, those that were told to end
    std::atomic<std::int64_t> longest_idle_ns;  // since when, in CLOCK_MONOTONIC; 0: none is idle
  };
  // A ring of the idle ones by descriptor, the longest idle first; its head is behind the last descriptor.
  struct Node {
    int next, previous;
    enum class State : std::uint8_t { busy, idle, leaving } state;
    std::int64_t since_ns;
  };
  void note_idle(int fd);
  bool note_busy(int fd);
  void unlink(int fd);
  void tell_longest();
  bool end_longest_idle_locked();

  Settings settings_;
  SharedRegion memory_;
  std::atomic<int>* used_;  // one past the highest number of a process that there was
  Place* places_;           // by number of the process, from the second page on; zeros, as fresh memory is
  Place* own_;
  std::mutex mutex_;  // of what follows
  std::vector<Node> nodes_;
  int head_;
};

}  // namespace bakeoff
