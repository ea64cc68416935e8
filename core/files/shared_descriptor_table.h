// Who holds what in a descriptor table that processes share (clone(CLONE_FILES), Pariag 2007, section 5.2): written by
// each process as it goes, read by its parent when it was killed, so that no connection of the dead stays open and no
// cache entry stays pinned.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/files/file_cache.h"
#include "core/sharing/shared_memory.h"

namespace bakeoff {

class Ledger {
 public:
  // Made before the processes are. Throws StartError.
  Ledger(int descriptors, int workers);

  // --- by a worker process, about itself ---

  void i_am(int worker);

  // Between opening a descriptor and having it noted or closed, a worker is inside a Window; whoever looks for strays
  // waits for it to leave.
  class Window {
   public:
    explicit Window(Ledger* ledger) : ledger_(ledger) {
      if (ledger_ != nullptr) ledger_->enter();
    }
    ~Window() {
      if (ledger_ != nullptr) ledger_->leave();
    }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;

   private:
    Ledger* ledger_;
  };

  void note(int fd);  // this worker holds fd
  // The table of that generation holds fd, on behalf of all. Called with the cache locked.
  void note_cached(int fd, std::uint32_t generation);
  // Closes fd, which was noted. Until it is closed its slot tells who is at it: unnoted and still open it would be taken
  // for a stray, closed a second time, and by then be somebody else's.
  void close(int fd);
  // The pin of the connection on fd.
  PinSlot& pin_of(int fd) { return slots_[fd].pin; }

  // Closes the descriptors of a discarded table that no connection uses any more; true when none of its memory,
  // [begin, end), is pinned either. Called with the cache locked.
  bool retire(std::uint32_t generation, const void* begin, const void* end);

  // --- by the parent ---

  // Notes every descriptor that is open now as common. Call once before the first worker is made.
  void adopt_open_descriptors();

  // The worker is dead: unpins and closes what it had noted, and begins to look for what it had not yet.
  void give_back(int worker, FileCache& cache);

  // Goes on looking for descriptors that nobody noted; false while a worker that may be about to note one has not moved
  // on. Call now and then until true.
  bool sweep_strays();

 private:
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

  void enter();
  void leave();
  // Open descriptors that nobody has noted, by what they refer to; with those whose slot says that somebody closes them,
  // as the number may be in use again already.
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
