// The event mechanism: which descriptors can be read or written without waiting. One file an implementation
// (poller_select.cpp, poller_poll.cpp, poller_epoll.cpp); one binary holds all three (Pariag 2007, sections 4.1, 5.1,
// 6). All are level-triggered and report alike, so that an architecture cannot tell which one it runs on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace bakeoff {

enum class EventMechanism : std::uint8_t { epoll, poll, select };

std::string_view name_of(EventMechanism mechanism);

enum class Interest : std::uint8_t { none = 0, read = 1, write = 2, read_write = 3 };

inline bool wants_read(Interest interest) { return (static_cast<unsigned>(interest) & 1U) != 0; }
inline bool wants_write(Interest interest) { return (static_cast<unsigned>(interest) & 2U) != 0; }

// An error or a hang-up of the peer sets both, as far as they are waited for: the next call on the descriptor then
// tells which it was. (Select cannot tell either from plain readiness, so each gets only the event that it waits for.)
struct Ready {
  int fd;
  bool readable;
  bool writable;
};

class Poller {
 public:
  virtual ~Poller() = default;

  // Adds `fd` or changes its interest. The same interest again costs no system call. Interest::none reports nothing,
  // not even errors or hang-ups; call forget() or closing() before closing the descriptor nevertheless. REQUIRES: 0 <=
  // fd < the number of descriptors given to make_poller, and fd is open. Throws NoEventMemory, a std::bad_alloc, when
  // the kernel lacks memory; the previous interest then stays.
  virtual void watch(int fd, Interest interest) = 0;

  // Forgets a descriptor that stays open. One that is not watched is ignored.
  virtual void forget(int fd) = 0;

  // Forgets a descriptor that its caller closes next; epoll then needs no system call of its own.
  virtual void closing(int fd) = 0;

  // BLOCKS: network. Waits until something is ready or timeout_ms have passed (-1: for ever; 0: does not wait). May
  // end early with an empty result, for example after a signal. The span is valid until the next wait(); its reader may
  // call the other members meanwhile. It may then be out of date: it may name a descriptor that was closed since, or
  // that is another connection by now.
  virtual std::span<const Ready> wait(int timeout_ms) = 0;

  // How many descriptors are waited for now: those watched with an interest other than none.
  virtual std::size_t watched() const = 0;

  // The descriptor that the mechanism itself uses; -1 when it uses none.
  virtual int descriptor() const { return -1; }
};

// `descriptors` bounds the descriptor numbers (usually RLIMIT_NOFILE). Throws StartError.
std::unique_ptr<Poller> make_poller(EventMechanism mechanism, int descriptors);

// One for each file; make_poller chooses.
std::unique_ptr<Poller> make_select_poller(int descriptors);
std::unique_ptr<Poller> make_poll_poller(int descriptors);
std::unique_ptr<Poller> make_epoll_poller(int descriptors);

// One socket alone, without an event mechanism; whether it took bytes in time. BLOCKS: network, for timeout_ms.
bool wait_until_writable(int fd, int timeout_ms);

}  // namespace bakeoff
