// Records what one context of execution does. It exists only where something is recorded: those who would record test
// a pointer to it, and nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/trace/region.h"

namespace bakeoff {

class TraceRecorder {
 public:
  // The ring is claimed at the first event, by the thread that has it: until then the name may change. Takes no memory
  // and no lock, so that a process may make one after a fork. `region` must outlive it.
  TraceRecorder(TraceRegion& region, std::string_view name, LaneKind kind = LaneKind::worker);

  // "helper 2": a word and a number. No number when it is 0.
  void rename(std::string_view name, int number = 0);
  void be(LaneKind kind) { kind_ = kind; }

  TraceRegion& region() { return region_; }

  // What begins now. A kind that may wait reads the thread's processor time: a system call.
  TraceEvent begin(TraceKind kind, std::uint32_t connection = 0, std::uint8_t phase = 0);
  // It ends now; the caller has filled in phase_after, want and amount.
  void end(TraceEvent& event);
  // The same for what is known at once, or from somewhere else.
  void add(const TraceEvent& event);

  // The wait in an event mechanism or in accept.
  void begin_wait() { waiting_ = begin(TraceKind::wait); }
  void end_wait(std::uint64_t ready) {
    waiting_.amount = ready;
    end(waiting_);
  }

  // A connection came over this socket: its number. Records the client's place.
  std::uint32_t accepted(int socket);

 private:
  TraceRing* ring();
  std::uint32_t new_delay_ns();

  TraceRegion& region_;
  TraceRing* ring_ = nullptr;
  bool claimed_ = false;
  LaneKind kind_;
  std::array<char, TraceRing::longest_name + 1> name_{};
  std::int64_t cpu_before_ns_ = 0;
  std::uint64_t delay_before_ns_ = 0;
  TraceEvent waiting_;
};

// What tells a connection's two ends that they are the same: the client's port, and its address's last byte above.
// 0 where the socket is not connected. `of_peer`: seen from the server.
std::uint64_t client_place(int socket, bool of_peer);

}  // namespace bakeoff
