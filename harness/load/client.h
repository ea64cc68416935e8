// The transport of the load generator: one thread, one epoll, any number of connections. It moves requests and replies;
// when to send is the model's business, what to ask the source's, what happened the recorder's.
//
// A reply costs one epoll event, one recv and the send of the next request. What makes that so: descriptors are registered
// once, edge-triggered, for both directions; a read that does not fill the buffer has emptied the socket; heads are read
// where they lie; moving a time-out is one store.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/load/model.h"
#include "harness/load/recorder.h"
#include "harness/load/reply_parser.h"
#include "harness/load/source.h"
#include "harness/load/timers.h"
#include "harness/load/url.h"

namespace bakeoff {

std::int64_t monotonic_ns();

// What the threads (or processes, in shared memory) of a run tell each other. Times are never_ns until they are known.
struct Phases {
  std::atomic<std::uint32_t> settled{0};            // threads that have tried to open all their connections
  std::atomic<std::int64_t> begin_ns{never_ns};     // first requests
  std::atomic<std::int64_t> start_ns{never_ns};     // the measured window
  std::atomic<std::int64_t> end_ns{never_ns};
};

struct ClientOptions {
  SocketAddress target;
  std::uint32_t connections = 1;
  std::int64_t connect_timeout_ns = 15'000'000'000;
  std::int64_t timeout_ns = 15'000'000'000;  // of a request, from its sending to the last byte of its reply
  std::uint32_t verify_every = 100;          // the bytes of each k-th reply; 0: of none
  bool same_length = true;                   // a request of unknown length has the length of its first reply ever after
  bool discard = false;                      // bodies are dropped in the kernel, never copied
  std::uint32_t source_addresses = 1;        // 127.0.0.2 and on; 1: the kernel's choice
  std::uint32_t first_slot = 0;              // the number of this thread's first slot among all of the run's
};

class Client {
 public:
  // All references must outlive the client.
  Client(const ClientOptions& options, const RequestTable& requests, Source& source, Model& model, Recorder& recorder, Phases& phases);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // From the first connection to the end of the window. BLOCKS: network.
  void run();

  double cpu_s() const { return cpu_s_; }  // this thread's, in the window
  // Why connections failed before the first request; the first such error's number, 0 for none.
  int opening_errno() const { return opening_errno_; }
  std::uint32_t opened() const { return opened_; }  // distinct slots that ever had a connection

 private:
  enum class State : std::uint8_t { closed, connecting, open };

  struct InFlight {
    RequestTimes times;
    std::uint32_t request = 0;
    bool verify = false;
    bool wrong = false;  // a byte of its body was not what it must be
  };

  struct Connection {
    int fd = -1;
    std::uint32_t generation = 0;  // changes with every descriptor: events of an earlier one are recognised
    State state = State::closed;
    bool waiting = false;          // for a wake-up that will ask the model
    bool close_after = false;
    bool served = false;           // this connection has had a reply
    std::uint8_t failures = 0;     // in a row, without a reply between them
    std::uint16_t first = 0;       // of the ring of requests in flight
    std::uint16_t in_flight = 0;
    std::uint16_t unsent = 0;      // of them, how many have not gone out at all
    std::uint64_t body_bytes = 0;  // of the reply at hand
    std::int64_t phase_start_ns = 0;
    ReplyParser parser;
    std::unique_ptr<std::string> unsent_text;
  };

  InFlight& in_flight(std::uint32_t slot, std::uint32_t index) {
    return in_flight_[std::size_t{slot} * depth_ + (depth_ == 1 ? 0 : (connections_[slot].first + index) % depth_)];
  }

  void open_some();
  void begin();
  void ask_model(std::uint32_t slot, std::int64_t now_ns);
  void perform(std::uint32_t slot, const Action& action, std::int64_t now_ns);
  void connect_slot(std::uint32_t slot, std::int64_t now_ns);
  int new_socket(std::uint32_t slot);
  void connected(std::uint32_t slot, std::int64_t now_ns);
  void transmit(std::uint32_t slot, std::int64_t now_ns);
  void send_text(std::uint32_t slot, std::string_view text, std::int64_t now_ns);
  void handle(std::uint32_t slot, std::uint32_t events);
  void receive(std::uint32_t slot, std::uint32_t events);
  bool take(std::uint32_t slot, std::string_view data, std::int64_t now_ns);
  bool finish_reply(std::uint32_t slot, bool more_data, std::int64_t now_ns);
  void ended_by_peer(std::uint32_t slot, std::int64_t now_ns);
  void fail(std::uint32_t slot, LoadError error, std::int64_t now_ns);
  void close_connection(std::uint32_t slot);
  void wake_at(std::uint32_t slot, std::int64_t at_ns);
  std::int64_t next_event_ns(std::int64_t now_ns) const;
  void finish();

  ClientOptions options_;
  const RequestTable& requests_;
  Source& source_;
  Model& model_;
  Recorder& recorder_;
  Phases& phases_;

  int epoll_ = -1;
  std::uint32_t depth_;
  std::vector<Connection> connections_;
  std::vector<InFlight> in_flight_;            // depth_ for each slot, a ring
  std::vector<std::int64_t> learned_lengths_;  // by request, where its length is not known beforehand
  std::vector<std::uint32_t> parked_;
  TimeoutWheel timeouts_;
  WakeQueue wakes_;
  std::unique_ptr<char[]> buffer_;
  std::string burst_text_;

  bool begun_ = false;
  bool measuring_ = false;
  bool settled_ = false;
  std::uint32_t next_to_open_ = 0;
  std::uint32_t connecting_ = 0;
  std::uint32_t opened_ = 0;
  std::int64_t last_progress_ns_ = 0;
  int opening_errno_ = 0;
  std::uint64_t verify_counter_ = 0;
  double cpu_at_start_s_ = 0;
  double cpu_s_ = 0;
};

}  // namespace bakeoff
