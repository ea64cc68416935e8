// One connection of a client, whoever serves it. All its transitions are in advance(); it runs until it would have to
// wait and says for what (want.h). It waits itself only where its owner allows: a socket in blocking mode blocks in the
// call, and a step announced by Want::disk may block on the disk.
//
// It has one owner at a time, which passes its own Worker (buffers, clock, counters) to each call.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/files/disk_job.h"
#include "core/files/file_cache.h"
#include "core/http/request_parser.h"
#include "core/http/response_head.h"
#include "core/http/synthetic_reply.h"
#include "core/phase.h"
#include "core/want.h"

namespace bakeoff {

class Server;
struct Worker;

class Connection {
 public:
  // Takes over the accepted socket `fd`.
  Connection(int fd, Worker& worker);
  // The same on the heap; nullptr, and the socket is closed, when there is no memory for it.
  static std::unique_ptr<Connection> make(int fd, Worker& worker);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Where a step finds no memory, the connection is over: it returns Want::close, counted as closed_no_memory.

  // The usual call: the three phases in turn until one has to wait. After Want::disk it takes the announced step, which
  // BLOCKS: disk. With sockets in blocking mode it BLOCKS: network; it then returns readable or writable only to let
  // the caller check the deadline.
  Want advance(Worker& worker);

  // The same in two halves, for owners that hand the connection on between them (pipeline). prepare: everything up to
  // a response; writable when there is one, timer when it is not yet due. transmit: only the response; readable when it
  // is sent.
  Want prepare(Worker& worker);
  Want transmit(Worker& worker);

  // The first half in two again, for owners with a stage for each (SEDA). parse: receives and parses; nothing: there is
  // a whole request, and prepare() looks its name up.
  std::optional<Want> parse(Worker& worker);

  // After Want::disk, and before a byte of the reply was sent: answers 503 because the request is too expensive now.
  // The connection stays. Returns writable.
  Want reject(Worker& worker);
  bool may_reject() const { return disk_announced_ && (phase_ == Phase::resolving || !head_begun_); }

  // After Want::disk: takes only the announced step, on the calling kernel thread. Returns nothing when the name is
  // resolved: call advance(). Otherwise returns the result of the attempt to send; after Want::writable a further call
  // repeats the step. BLOCKS: disk; network with sockets in blocking mode, until one call has ended.
  std::optional<Want> wait_for_disk(Worker& worker);

  // After Want::disk: the same as data, for somebody else to wait for first. Throws std::bad_alloc.
  DiskJob disk_job() const;

  // The deadline has passed: what waited for it (Want::timer) has its reply, a late request gets a 408, all else is
  // closed.
  Want expire(Worker& worker);

  // When expire() is due, in ms of the worker's clock.
  std::int64_t deadline_ms() const { return deadline_ms_; }

  // Between two requests, or before the first: nothing of one has been received.
  bool is_idle() const { return phase_ == Phase::receiving && unparsed().empty(); }
  // The server drains, and the connection is idle: it is over, and counted.
  bool is_drained(Worker& worker) const;

  // Want::disk was returned and its step is still to be taken.
  bool wants_disk() const { return disk_announced_; }
  // Want::timer was returned and the reply is not yet due.
  bool wants_timer() const { return phase_ == Phase::pausing; }
  // A further request, or a part of one, is here already and was not yet parsed: the socket need not become readable
  // for it.
  bool has_input() const {
    return !unparsed().empty() && (phase_ != Phase::receiving || unparsed().size() != in_hand_.size());
  }
  // What is still to be sent of the reply's body.
  std::uint64_t body_bytes_left() const { return end_ - offset_; }

  int fd() const { return fd_; }
  // Its number in what is recorded (--trace-events); 0 where nothing is.
  std::uint32_t trace_number() const { return trace_number_; }

  // Answers 503 and closes; for a server that has all the connections it wants.
  static void refuse(int fd, Worker& worker);

 private:
  using Phase = ServingPhase;

  struct SyntheticBody {
    std::uint64_t seed;  // of content()
    std::uint64_t size_bytes;
  };

  template <class Step>
  static auto unless_memory_ends(Worker& worker, Step step) -> decltype(step());
  std::string_view unparsed() const { return std::string_view(input_).substr(input_offset_); }
  Want run(Worker& worker, std::initializer_list<Phase> not_yet);
  Want step(Worker& worker);
  bool may_wait_for_pages(bool may_wait_for_socket) const;
  template <class Step>
  auto recorded(Worker& worker, Step step) -> decltype(step());
  Want send_reply(Worker& worker);
  Want receive(Worker& worker);
  Want resolve(Worker& worker);
  Want make_reply(Worker& worker, const SyntheticReply& reply, std::string_view name);
  Want pause(Worker& worker);
  Want end_wait(Worker& worker);
  void keep_input();
  void keep_request();
  void release_input();
  void begin_reply(Worker& worker, int status);
  Want begin_refusal(Worker& worker, int status);
  Want file_changed(Worker& worker);
  Want end_reply(Worker& worker);
  void await_request(Worker& worker);
  Want skip_body(Worker& worker);
  Want drain(Worker& worker);
  Want nothing_received(Worker& worker, ssize_t got);
  Want lost(Worker& worker);
  void unpin();

  Server& server_;
  FileCache& cache_;  // of the worker that accepted it, or of all who may serve it
  int fd_;
  Phase phase_ = Phase::receiving;
  bool keep_alive_ = true;
  bool disk_announced_ = false;  // Want::disk was returned: the next step may wait
  bool drain_after_ = false;
  bool leaving_ = false;        // told to end for a newcomer when its request had just come: the last one
  bool space_awaited_ = false;  // --send=poll-first: the send buffer was found to have space for this reply
  std::int16_t status_ = 0;
  std::uint32_t trace_number_ = 0;
  std::int64_t deadline_ms_;

  // What was received and is not yet parsed, or belongs to a request that waits; empty while idle. In the common case,
  // a whole request in one receive, the bytes stay in the worker's buffer and nothing is kept here.
  std::string input_;
  std::size_t input_offset_ = 0;
  std::string_view in_hand_;  // the bytes of the request in progress: in input_, or in the worker's buffer
  RequestParser parser_;
  Request request_;
  std::uint64_t body_to_skip_bytes_ = 0;

  PinSlot own_pin_;
  PinSlot& pin_;
  std::optional<SyntheticBody> made_;  // of a synthetic reply
  std::string output_;  // a head of this reply alone, or the rest of one that the socket did not take at once
  bool head_begun_ = false;
  std::uint64_t offset_ = 0;  // next byte of the body
  std::uint64_t end_ = 0;     // one past its last byte
};

}  // namespace bakeoff
