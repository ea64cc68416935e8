// When to send: a model decides what a slot (one client, with at most one connection at a time) does whenever nothing
// of it is in flight. It knows nothing of sockets; all times are given to it, in ns.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "core/base/random.h"
#include "harness/load/schedule.h"
#include "harness/load/timers.h"
#include "workloads/distribution.h"
#include "workloads/workload.h"

namespace bakeoff {

struct Action {
  enum class Kind : std::uint8_t {
    send,  // `count` requests, at once, opening a connection where there is none
    wait,  // ask again at at_ns; the connection stays as it is
    park,  // ask again when the model has something due
    end,   // this slot has done all it had to do
  };
  Kind kind = Kind::end;
  std::uint32_t count = 1;   // of requests to send together
  bool close_after = false;  // close the connection when their replies are there
  std::int64_t at_ns = 0;    // send: the time it was scheduled for; wait: until when

  static Action send(std::int64_t scheduled_ns, std::uint32_t count = 1, bool close_after = false) {
    return {Kind::send, count, close_after, scheduled_ns};
  }
  static Action wait(std::int64_t until_ns) { return {Kind::wait, 0, false, until_ns}; }
  static Action park() { return {Kind::park, 0, false, 0}; }
  static Action end() { return {}; }
};

// Over the whole run.
struct SessionCounts {
  std::uint64_t started = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t connections = 0;       // of the completed ones
  std::int64_t lifetime_ns = 0;        // summed over the completed ones
  std::int64_t failtime_ns = 0;        // and over the failed ones
  std::vector<std::uint64_t> lengths;  // how many of those that ended had so many replies
  std::vector<std::uint64_t> seconds;  // completed in each second of the run
  bool log_lost = false;               // the log changed while it was replayed, and had no further session

  // Adds what another worker counted.
  void merge(const SessionCounts& other);
  nlohmann::ordered_json to_json() const;
  static SessionCounts from_json(const nlohmann::ordered_json& json);
};

// Counts the sessions of a model: each slot has at most one at a time.
class SessionLedger {
 public:
  explicit SessionLedger(std::uint32_t slots) : slots_(slots) {}

  void begin(std::int64_t now_ns) { begin_ns_ = now_ns; }
  void started(std::uint32_t slot, std::int64_t now_ns);
  void connected(std::uint32_t slot) { ++slots_[slot].connections; }
  void completed(std::uint32_t slot, std::uint32_t replies, std::int64_t now_ns);
  void failed(std::uint32_t slot, std::uint32_t replies, std::int64_t now_ns);
  void log_lost() { counts_.log_lost = true; }
  bool all_ended() const { return counts_.completed + counts_.failed == counts_.started; }
  const SessionCounts& counts() const { return counts_; }

 private:
  struct Slot {
    std::int64_t started_ns = 0;
    std::uint64_t connections = 0;
  };
  void count_length(std::uint32_t replies);
  std::vector<Slot> slots_;
  std::int64_t begin_ns_ = 0;
  SessionCounts counts_;
};

// One a worker.
class Model {
 public:
  virtual ~Model() = default;
  // The run's time 0: called once, before any next().
  virtual void begin(std::int64_t) {}
  // The slot has nothing in flight: all replies are there, a request of it failed, or its waiting is over.
  virtual Action next(std::uint32_t slot, std::int64_t now_ns) = 0;
  // A request of the slot failed and its connection is gone; so many of its requests had been sent, or were about to
  // be, and have no reply.
  virtual void failed(std::uint32_t, std::uint32_t, std::int64_t) {}
  // The slot has a new connection.
  virtual void connected(std::uint32_t) {}
  // When a parked slot is needed, never_ns for not at all.
  virtual std::int64_t next_due_ns() const { return never_ns; }
  // No slot of this worker is free: other workers may have what is due. False when nothing was.
  virtual bool hand_over(std::int64_t) { return false; }
  // Passes over the next arrival. REQUIRES: next_due_ns() is not never_ns.
  virtual void skip() {}
  // Whether an Action may send more than one request.
  virtual bool bursts() const { return false; }
  // Whether all connections are to be open before the first request.
  virtual bool opens_first() const { return true; }
  // No slot has anything left to do: the run may end before its time.
  virtual bool finished() const { return false; }
  // What the model counts apart from requests; over the whole run.
  virtual SessionCounts sessions() const { return {}; }
};

// Each slot sends as soon as the last replies are there, or when it has thought about them. `pipeline` requests go
// together. requests_per_connection 0: as many as the server allows.
class ClosedModel : public Model {
 public:
  struct Options {
    std::uint32_t requests_per_connection = 0;
    std::uint32_t pipeline = 1;
    std::optional<Distribution> think_s;
  };
  ClosedModel(const Options& options, std::uint32_t slots, Random random);

  Action next(std::uint32_t slot, std::int64_t now_ns) override;
  void failed(std::uint32_t slot, std::uint32_t, std::int64_t) override { slots_[slot].sent = 0; }
  bool bursts() const override { return options_.pipeline > 1; }
  bool opens_first() const override { return options_.requests_per_connection == 0; }

 private:
  struct Slot {
    std::uint32_t sent = 0;  // on the connection at hand
    bool begun = false;
    bool thought = false;
  };
  Options options_;
  Random random_;
  std::vector<Slot> slots_;
};

// One schedule for all slots: whichever is free takes the next arrival. An arrival that finds none free keeps its time,
// so that latency from the schedule tells what a user would have waited (no coordinated omission).
class OpenModel : public Model {
 public:
  OpenModel(Schedule schedule, bool close_each) : schedule_(std::move(schedule)), close_each_(close_each) {}

  void begin(std::int64_t now_ns) override { schedule_.begin(now_ns); }
  Action next(std::uint32_t, std::int64_t now_ns) override {
    const auto due_ns = schedule_.take(now_ns);
    return due_ns ? Action::send(*due_ns, 1, close_each_) : Action::park();
  }
  std::int64_t next_due_ns() const override { return schedule_.next_ns(); }
  bool hand_over(std::int64_t now_ns) override { return schedule_.hand_over(now_ns); }
  void skip() override { schedule_.pop(); }
  bool opens_first() const override { return !close_each_; }

 private:
  Schedule schedule_;
  bool close_each_;
};

// Sessions: users who come, ask for a few pages on one connection, and go. The load is partially open, as Pariag et
// al. used httperf (section 2). A session is a number of bursts. Between bursts the user thinks (inactive off-period);
// between the requests of a burst the browser works (active off-period). Sessions arrive by a schedule, or each slot
// runs one after another.
class SessionModel : public Model {
 public:
  SessionModel(const ClientModel& clients, std::optional<Schedule> schedule, std::uint32_t slots, Random random);

  void begin(std::int64_t now_ns) override;
  Action next(std::uint32_t slot, std::int64_t now_ns) override;
  void failed(std::uint32_t slot, std::uint32_t unanswered, std::int64_t now_ns) override;
  void connected(std::uint32_t slot) override { ledger_.connected(slot); }
  std::int64_t next_due_ns() const override { return schedule_ ? schedule_->next_ns() : never_ns; }
  bool hand_over(std::int64_t now_ns) override { return schedule_ && schedule_->hand_over(now_ns); }
  void skip() override { schedule_->pop(); }
  bool opens_first() const override { return false; }
  SessionCounts sessions() const override { return ledger_.counts(); }

 private:
  struct Slot {
    std::uint32_t sent = 0;  // requests of the session at hand
    std::uint32_t left_in_session = 0;
    std::uint32_t left_in_burst = 0;
    bool begun = false;
    bool running = false;  // a session
    bool thought = false;
  };
  std::uint32_t draw_count(const std::optional<Distribution>& distribution);
  std::int64_t draw_ns(const std::optional<Distribution>& distribution);

  ClientModel clients_;
  std::optional<Schedule> schedule_;
  Random random_;
  std::vector<Slot> slots_;
  SessionLedger ledger_;
};

}  // namespace bakeoff
