// Who holds what in a descriptor table that processes share: written by each process as it goes, read by its parent
// when it was killed, so that no connection of the dead stays open and no cache entry stays pinned.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/files/descriptor_table.h"
#include "core/sharing/shared_memory.h"

namespace bakeoff {

class FileCache;

class SharedDescriptorTable final : public DescriptorTable {
 public:
  // Made before the processes are. Throws StartError.
  SharedDescriptorTable(int descriptors, int workers);

  // --- by a worker process, about itself ---

  void i_am(int worker);

  void note(int fd) override;
  void note_cached(int fd, std::uint32_t generation) override;
  // Until fd is closed its slot names its closer. Unrecorded and still open, it would be mistaken for a stray and
  // closed a second time, when the number may be in use again.
  void close(int fd) override;
  PinSlot& pin_of(int fd, PinSlot&) override { return pin_of(fd); }
  // As above: of the connection on fd.
  PinSlot& pin_of(int fd) { return slots_[fd].pin; }

  // Closes the descriptors of a discarded table that no connection uses any more; true when none of its memory,
  // [begin, end), is pinned either. Called with the cache locked.
  bool retire(std::uint32_t generation, const void* begin, const void* end);

  // --- by the parent ---

  // Notes every descriptor that is open now as common. Call once before the first worker is made.
  void adopt_open_descriptors();

  // The worker is dead: unpins and closes what it had noted, and begins to look for what it had not yet.
  void give_back(int worker, FileCache& cache);

  // Continues the search for unrecorded descriptors; false while a worker may be about to record one. Call now and then
  // until true.
  bool sweep_strays();

 private:
  // Why the owners need no lock. The kernel gives a descriptor number to one caller at a time, so only one worker
  // stores its own number into a slot until the descriptor is closed. close() first stores closing_by(it), then closes,
  // then clears the slot by an exchange, which fails if the number was given out and recorded again meanwhile. A
  // worker that dies between two of these steps leaves its number, or closing_by(it), or a descriptor that is open and
  // unrecorded. give_back() clears the first two, sweep_strays() closes the third. The generation is stored before the
  // owner (release) and read after it (acquire). A step count is odd while its worker is in the Window, in which it
  // may hold an unrecorded descriptor. A count that was even, or that has changed since, means that the worker holds no
  // unrecorded descriptor from before.
  static constexpr std::int32_t nobody = 0;
  static constexpr std::int32_t common = -1;
  static constexpr std::int32_t closing_by(int worker) { return -2 - worker; }

  struct Slot {
    std::atomic<std::int32_t> owner;  // worker number from 1, nobody, common, closing_by(worker)
    std::uint32_t generation;         // of the table that holds it; 0: none
    PinSlot pin;
  };
  struct alignas(64) Progress {
    std::atomic<std::uint64_t> steps;  // odd: inside a Window
  };

  // The search for strays waits for each worker to leave the Window that it was in.
  void enter() override;
  void leave() override;
  // Open unrecorded descriptors, by what they refer to; including those whose slot names a closer, as the number may be
  // in use again.
  std::map<int, std::string> unnoted(bool and_closing) const;

  int descriptors_;
  int workers_;
  SharedRegion region_;
  Slot* slots_;
  Progress* progress_;
  int self_ = 0;    // 0: the parent
  int nested_ = 0;  // Windows that this process is inside of
  // Of the sweep under way: the strays, by what they refer to, and which workers were inside a Window.
  std::map<int, std::string> suspects_;
  std::vector<std::uint64_t> seen_steps_;
};

}  // namespace bakeoff
