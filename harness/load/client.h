// The transport of the load generator: one worker, one epoll, any number of connections. It moves requests and replies;
// the model decides when to send, the source what to ask, and the recorder records what happened.
//
// A reply costs one epoll event, one recv and the send of the next request, because descriptors are registered once,
// edge-triggered, for both directions; a read that does not fill the buffer has emptied the socket; heads are parsed in
// place; moving a time-out is one store.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/events/deadline_wheel.h"
#include "core/trace/recorder.h"
#include "harness/load/model.h"
#include "harness/load/recorder.h"
#include "harness/load/reply_parser.h"
#include "harness/load/shared_word.h"
#include "harness/load/source.h"
#include "harness/load/timers.h"
#include "harness/load/url.h"

namespace bakeoff {

// What the workers of a run and their parent tell each other, in memory that they share. Times are never_ns until they
// are known.
//
// Why it needs no lock: what belongs together is stored before the one word that announces it (release), and read after
// that word (acquire). settled announces opened and opening_errno; begin_ns announces start_ns and end_ns; rested
// announces rest_ns; turn announces rest_ns and went_on_ns. The sums at the end are for a display: they may be a moment
// old, and are not part of a result.
struct Phases {
  std::atomic<std::uint32_t> settled{0};         // workers that have tried to open all their connections
  std::atomic<std::uint32_t> opened{0};          // connections, by the settled workers
  std::atomic<int> opening_errno{0};             // why one of them failed, 0 for none
  std::atomic<std::int64_t> begin_ns{never_ns};  // first requests
  std::atomic<std::int64_t> late_ns{0};          // after begin_ns: when the last worker saw that it may begin
  std::atomic<std::int64_t> start_ns{never_ns};  // the measured window
  std::atomic<std::int64_t> end_ns{never_ns};    // in turns: any time once the run is over
  // Where the run is cut into turns: the newest that has begun, from 1, and how many have ended, summed over workers.
  SharedWord turn{0};
  SharedWord rested{0};
  // The workers' clocks of the run agree: all go on at rest_ns, where the last worker came to rest, and from the moment
  // at which the first of them sees that the next turn has begun (CLOCK_MONOTONIC).
  std::atomic<std::int64_t> rest_ns{0};
  std::atomic<std::int64_t> went_on_ns{never_ns};
  // Where connections stay open after the end:
  std::atomic<std::uint32_t> done{0};  // workers that have measured
  std::atomic<bool> released{false};   // they may close
  // For whoever watches: sums over the window so far.
  std::atomic<std::uint64_t> replies{0};
  std::atomic<std::uint64_t> received_bytes{0};
  std::atomic<std::uint64_t> errors{0};
};

// A run in turns with other programs: the first is the warm-up, each of the others an equal part of the measured time.
// Between two turns the run's clock stands still and nothing is in flight, unless the server leaves requests without
// any reply for as long as a turn takes, as one does that serves fewer connections at a time.
struct Turns {
  std::uint32_t measured = 0;  // without the first; 0: the run is not cut
  std::int64_t first_ns = 0;   // how long new requests are sent in it
  std::int64_t each_ns = 0;
};

struct ClientOptions {
  SocketAddress target;
  Turns turns;
  std::uint32_t connections = 1;
  std::int64_t connect_timeout_ns = 15'000'000'000;
  std::int64_t timeout_ns = 15'000'000'000;  // of a request, to the last byte of its reply ...
  bool timeout_by_phase = false;             // ... from its sending (httperf's rule; connecting has its own), else from
                                             // the beginning, opening the connection included
  std::uint32_t verify_every = 100;          // the bytes of each k-th reply; 0: of none
  bool discard = false;                      // bodies are dropped in the kernel, never copied
  std::uint64_t reader_bytes_per_s = 0;      // no connection reads faster; 0: as fast as it can
  std::uint32_t receive_buffer_bytes = 0;    // SO_RCVBUF; 0: the kernel's choice
  std::uint32_t source_addresses = 1;        // 127.0.0.2 and on; 1: the kernel's choice
  std::uint32_t first_slot = 0;              // the number of this worker's first slot among all of the run's
  WaitingArrivals* waiting = nullptr;  // of all workers with a schedule; nullptr: there is one worker, or no schedule
  std::uint32_t worker = 0;            // its number among them
  TraceRegion* trace = nullptr;        // where each client records what it asked and got; nullptr: nowhere
};

// Slots that wait for the model, each at most once. The longest-parked one is next, so that all get their share.
class ParkedSlots {
 public:
  explicit ParkedSlots(std::uint32_t slots) : ring_(slots) {}
  bool empty() const { return count_ == 0; }
  void push(std::uint32_t slot) {
    BAKEOFF_CHECK(count_ < ring_.size());
    const std::size_t at = first_ + count_++;
    ring_[at < ring_.size() ? at : at - ring_.size()] = slot;
  }
  std::uint32_t pop() {
    const std::uint32_t slot = ring_[first_];
    if (++first_ == ring_.size()) first_ = 0;
    --count_;
    return slot;
  }

 private:
  std::vector<std::uint32_t> ring_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

class Client {
 public:
  // All references must outlive the client.
  Client(const ClientOptions& options, Source& source, Model& model, Recorder& recorder, Phases& phases);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // From the first connection to the end of the window, or of the model's work. BLOCKS: network.
  void run();

  double cpu_s() const { return cpu_s_; }    // in the window
  double spin_s() const { return spin_s_; }  // of it: spent waiting for a moment that was too near to sleep
  double user_s() const { return user_s_; }  // in the window, in user and in kernel mode
  double system_s() const { return system_s_; }

 private:
  enum class State : std::uint8_t { closed, connecting, open };

  struct InFlight {
    RequestTimes times;
    const ClientRequest* request = nullptr;
    bool verify = false;
    bool wrong = false;  // a byte of its body was not what it must be
    bool again = false;  // it went out before, on a connection that its server closed
  };

  struct Connection {
    int fd = -1;
    std::uint32_t generation = 1;  // changes with every descriptor: events of an earlier one are recognised; never 0
    State state = State::closed;
    bool waiting = false;        // for a wake-up that will ask the model
    bool reading_later = false;  // it has had its share: a wake-up will read on
    bool ended = false;          // the peer sends no more: no further event will tell what is left to read
    bool close_after = false;
    bool served = false;        // this connection has had a reply
    std::uint8_t failures = 0;  // in a row, without a reply between them
    std::uint32_t first = 0;    // of the burst, how many have their replies
    std::uint32_t in_flight = 0;
    std::uint32_t unsent = 0;        // of them, how many have not gone out at all
    std::uint64_t body_bytes = 0;    // of the reply at hand
    std::int64_t opening_ns = 0;     // when it began to open, for the first requests on it
    std::int64_t first_byte_ns = 0;  // of the reply at hand, when it came
    std::int64_t may_read_ns = 0;    // a slow reader's next turn
    ReplyParser parser;
    std::unique_ptr<std::string> unsent_text;
  };

  InFlight& in_flight(std::uint32_t slot, std::uint32_t index) {
    return bursts_.empty() ? in_flight_[slot] : bursts_[slot][connections_[slot].first + index];
  }

  void open_some();
  void begin();
  void ask_model(std::uint32_t slot, std::int64_t now_ns);
  void perform(std::uint32_t slot, const Action& action, std::int64_t now_ns);
  void connect_slot(std::uint32_t slot, std::int64_t now_ns);
  int new_socket(std::uint32_t slot);
  void connected(std::uint32_t slot, std::int64_t now_ns);
  void transmit(std::uint32_t slot, std::int64_t now_ns);
  void record_asked(std::uint32_t slot, std::uint32_t count);
  void send_text(std::uint32_t slot, std::string_view text, std::int64_t now_ns);
  void handle(std::uint32_t slot, std::uint32_t events);
  void receive(std::uint32_t slot);
  bool take(std::uint32_t slot, std::string_view data, std::int64_t now_ns);
  bool finish_reply(std::uint32_t slot, bool more_data, std::int64_t now_ns);
  void ended_by_peer(std::uint32_t slot, std::int64_t now_ns);
  void fail(std::uint32_t slot, LoadError error, std::int64_t now_ns);
  void close_connection(std::uint32_t slot, std::int64_t now_ns);
  bool may_reissue(std::uint32_t slot);
  void reissue(std::uint32_t slot, std::int64_t now_ns);
  void time_out(std::uint32_t slot, std::int64_t now_ns);
  void read_slowly(std::uint32_t slot, std::size_t got, std::int64_t now_ns);
  void read_later(std::uint32_t slot, std::int64_t at_ns);
  void wake(std::uint64_t token, std::int64_t now_ns);
  void wake_at(std::uint32_t slot, std::int64_t at_ns);
  void publish();
  // Of the run's clock, which is CLOCK_MONOTONIC less the time between turns.
  std::int64_t now() const { return monotonic_ns() - stood_still_ns_; }
  bool begin_turn();
  bool end_turn(std::int64_t now_ns);
  std::int64_t turn_patience_ns() const;
  std::int64_t next_event_ns(std::int64_t now_ns) const;
  std::int64_t send_due(std::int64_t now_ns);
  bool may_take() const { return options_.waiting != nullptr && !parked_.empty() && !options_.waiting->empty(); }
  void share_schedule(std::int64_t now_ns);
  void account(int sign);
  void finish();

  ClientOptions options_;
  Source& source_;
  Model& model_;
  Recorder& recorder_;
  Phases& phases_;

  int epoll_ = -1;
  std::vector<Connection> connections_;
  // By slot. Only a model that sends several requests at once needs the second one, which grows to what a slot
  // has sent.
  std::vector<InFlight> in_flight_;
  std::vector<std::vector<InFlight>> bursts_;
  std::int64_t first_length_ = ClientRequest::any_length;  // of the run's first reply
  struct Paused {
    std::uint32_t slot;
    Action action;
    std::int64_t since_ns;
  };
  std::vector<Paused> paused_;  // what slots would have sent after the turn's end
  std::uint32_t turn_ = 0;      // the one at hand
  std::int64_t turn_end_ns_ = never_ns;
  std::int64_t last_byte_ns_ = 0;  // when the last one of any reply came
  std::int64_t stood_still_ns_ = 0;
  ParkedSlots parked_;
  DeadlineWheel timeouts_;  // by slot
  WakeQueue wakes_;
  std::unique_ptr<char[]> buffer_;
  std::string burst_text_;
  std::vector<TraceRecorder> recorders_;  // by slot; empty where nothing is recorded

  bool begun_ = false;
  bool measuring_ = false;
  bool settled_ = false;
  std::uint32_t next_to_open_ = 0;
  std::int64_t next_opening_ns_ = 0;
  std::uint32_t connecting_ = 0;
  std::uint64_t published_replies_ = 0;
  std::uint64_t published_bytes_ = 0;
  std::uint64_t published_errors_ = 0;
  std::int64_t last_progress_ns_ = 0;
  std::uint64_t verify_counter_ = 0;
  double cpu_at_start_s_ = 0;
  std::int64_t spin_ns_ = 0;
  std::int64_t spin_at_start_ns_ = 0;
  double spin_s_ = 0;
  double cpu_s_ = 0;
  double user_s_ = 0;
  double system_s_ = 0;
  std::uint32_t sockets_ = 0;        // that are open or being opened
  std::uint32_t begun_in_turn_ = 0;  // connections, since the loop came round
};

}  // namespace bakeoff
