// When to send: a model decides what a slot (one client, with at most one connection at a time) does whenever nothing of
// it is in flight. It knows nothing of sockets; all times are given to it, in ns.
#pragma once

#include <cstdint>
#include <memory>

#include "harness/load/timers.h"

namespace bakeoff {

struct Action {
  enum class Kind : std::uint8_t {
    send,  // `count` requests, at once, opening a connection where there is none
    wait,  // ask again at at_ns; the connection stays as it is
    park,  // ask again when the model has something due
    end,   // this slot has done all it had to do
  };
  Kind kind = Kind::end;
  std::uint32_t count = 1;     // of requests to send together
  bool close_after = false;    // close the connection when their replies are there
  std::int64_t at_ns = 0;      // send: the time it was scheduled for; wait: until when

  static Action send(std::int64_t scheduled_ns, std::uint32_t count = 1, bool close_after = false) {
    return {Kind::send, count, close_after, scheduled_ns};
  }
  static Action wait(std::int64_t until_ns) { return {Kind::wait, 0, false, until_ns}; }
  static Action park() { return {Kind::park, 0, false, 0}; }
  static Action end() { return {}; }
};

// One a thread.
class Model {
 public:
  virtual ~Model() = default;
  // The slot has nothing in flight: all replies are there, a request of it failed, or its waiting is over.
  virtual Action next(std::uint32_t slot, std::int64_t now_ns) = 0;
  // A request of the slot failed and its connection is gone.
  virtual void failed(std::uint32_t) {}
  // When a parked slot is needed, never_ns for not at all.
  virtual std::int64_t next_due_ns() const { return never_ns; }
  // The most requests that one Action sends.
  virtual std::uint32_t most_in_flight() const { return 1; }
  // Whether all connections are to be open before the first request.
  virtual bool opens_first() const { return true; }
  // The slots begin: called once, before any next().
  virtual void begin(std::int64_t) {}
};

// Each slot sends its next request as soon as the last reply is there. requests_per_connection 0: as many as the server
// allows.
class ClosedModel : public Model {
 public:
  ClosedModel(std::uint32_t slots, std::uint32_t requests_per_connection)
      : requests_per_connection_(requests_per_connection), sent_(requests_per_connection > 1 ? slots : 0) {}

  Action next(std::uint32_t slot, std::int64_t now_ns) override {
    if (requests_per_connection_ == 0) return Action::send(now_ns);
    if (requests_per_connection_ == 1) return Action::send(now_ns, 1, true);
    const bool last = ++sent_[slot] == requests_per_connection_;
    if (last) sent_[slot] = 0;
    return Action::send(now_ns, 1, last);
  }
  void failed(std::uint32_t slot) override {
    if (!sent_.empty()) sent_[slot] = 0;
  }
  bool opens_first() const override { return requests_per_connection_ == 0; }

 private:
  std::uint32_t requests_per_connection_;
  std::vector<std::uint32_t> sent_;  // on the connection at hand
};

}  // namespace bakeoff
