#include "core/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <new>
#include <utility>

#include "core/base/check.h"
#include "core/files/residency.h"
#include "core/http/content.h"
#include "core/http/target.h"
#include "core/server.h"

namespace bakeoff {
namespace {

// A body of a request is skipped up to this length; a longer one gets a 413 and the connection is closed.
constexpr std::uint64_t most_skipped_bytes = 1 << 20;
// How long a peer may go on sending after a response that closes (RFC 9112, 9.6).
constexpr std::int64_t drain_ms = 2000;

const ErrorResponse& error_response_to(int status) {
  static const auto all = [] {
    std::array<ErrorResponse, reply_statuses.size()> error_responses;
    for (std::size_t i = 0; i < error_responses.size(); ++i) {
      if (reply_statuses[i] >= 400) error_responses[i] = make_error_response(reply_statuses[i]);
    }
    return error_responses;
  }();
  const auto* place = std::find(reply_statuses.begin(), reply_statuses.end(), status);
  BAKEOFF_CHECK(place != reply_statuses.end());
  return all[static_cast<std::size_t>(place - reply_statuses.begin())];
}

// A view into `from` as one into `to`, its copy. A view into neither (the parser's own "/") stays what it is.
std::string_view rebase(std::string_view view, std::string_view from, std::string_view to) {
  const std::less<const char*> before;
  if (before(view.data(), from.data()) || !before(view.data(), from.data() + from.size())) return view;
  return to.substr(static_cast<std::size_t>(view.data() - from.data()), view.size());
}

// A directory was named without its closing slash. A path alone is a valid Location (RFC 9110, 10.2.2).
std::string redirect_head(std::string_view name) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string head = "HTTP/1.1 301 Moved Permanently\r\nServer: bakeoff\r\nContent-Length: 0\r\nLocation: ";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("/-._~").find(c) != std::string_view::npos;
    if (plain) {
      head += c;
    } else {
      head += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return head + "/\r\n";
}

}  // namespace

Connection::Connection(int fd, Worker& worker)
    : server_(worker.server), cache_(worker.cache), fd_(fd), pin_(server_.descriptors().pin_of(fd, own_pin_)) {
  worker.clock.refresh();  // its worker may have waited, or been busy with others, for any time
  deadline_ms_ = worker.clock.now_ms() + server_.options().request_timeout_ms;
  server_.occupancy().idle_begins(fd_);
  if (worker.trace != nullptr) trace_number_ = worker.trace->accepted(fd);
}

std::unique_ptr<Connection> Connection::make(int fd, Worker& worker) {
  try {
    return std::make_unique<Connection>(fd, worker);
  } catch (const std::bad_alloc&) {
    worker.stats.closed_no_memory.add();
    worker.server.close_connection(fd);
    return nullptr;
  }
}

Connection::~Connection() {
  unpin();
  server_.close_connection(fd_);
}

void Connection::unpin() {
  if (pin_.file != nullptr) cache_.unpin(pin_);
}

// Whatever a step has left half done goes with the connection: nothing but its destructor is called after that.
template <class Step>
auto Connection::unless_memory_ends(Worker& worker, Step step) -> decltype(step()) {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    worker.stats.closed_no_memory.add();
    return Want::close;
  }
}

Want Connection::advance(Worker& worker) {
  return unless_memory_ends(worker, [&] { return run(worker, {}); });
}

Want Connection::prepare(Worker& worker) {
  return unless_memory_ends(worker, [&] { return run(worker, {Phase::sending}); });
}

Want Connection::transmit(Worker& worker) {
  const auto send = [&] { return send_reply(worker); };
  return unless_memory_ends(worker, [&] { return worker.trace == nullptr ? send() : recorded(worker, send); });
}

std::optional<Want> Connection::parse(Worker& worker) {
  return unless_memory_ends(worker, [&]() -> std::optional<Want> {
    const Want want = run(worker, {Phase::resolving, Phase::sending});
    if (phase_ != Phase::resolving) return want;
    keep_request();  // another thread looks the name up, and this one's buffer is about to serve others
    return std::nullopt;
  });
}

// Every transition of a connection. It ends when a phase has to wait, or is `not_yet` to be entered.
Want Connection::run(Worker& worker, std::initializer_list<Phase> not_yet) {
  for (;;) {
    const Phase before = phase_;
    for (const Phase phase : not_yet) {
      if (before == phase) return Want::writable;
    }
    const Want want = worker.trace == nullptr ? step(worker) : recorded(worker, [&] { return step(worker); });
    if (want == Want::close || want == Want::disk || want == Want::timer || phase_ == before) return want;
    // The next request of a keep-alive connection is a new wait, unless it is already here.
    if (phase_ == Phase::receiving && unparsed().empty()) return Want::readable;
  }
}

inline Want Connection::step(Worker& worker) {
  switch (phase_) {
    case Phase::receiving: return receive(worker);
    case Phase::resolving: return resolve(worker);
    case Phase::pausing: return pause(worker);
    case Phase::sending: return send_reply(worker);
    case Phase::skipping: return skip_body(worker);
    case Phase::draining: return drain(worker);
  }
  BAKEOFF_CHECK(false);
}

// Whether the next send may wait for the disk though nobody asked (--residency=none). A system call: for what is
// recorded alone. Where the kernel does not tell, whatever keeps a send waiting is the socket if it may, else the disk.
bool Connection::may_wait_for_pages(bool may_wait_for_socket) const {
  if (pin_.file == nullptr || end_ == offset_) return false;
  const FileBytes& bytes = pin_.file->bytes;
  if (bytes.memory != nullptr && !bytes.mapped) return false;
  const Residency check = bytes.mapped ? Residency::mincore : Residency::cachestat;
  if (!is_supported(check)) return !may_wait_for_socket;
  return !is_resident(check, bytes, offset_, std::min(end_ - offset_, residency_range_bytes));
}

// The same step, written down: from when to when, what it may have waited for, and what is wanted then.
// REQUIRES: worker.trace != nullptr.
template <class Step>
[[gnu::noinline]] auto Connection::recorded(Worker& worker, Step step) -> decltype(step()) {
  const bool sends = phase_ == Phase::sending;
  const bool waits_for_socket =
      sends ? server_.options().send == Sending::blocking : server_.waits_in_calls() && phase_ != Phase::resolving;
  const bool waits_for_disk = disk_announced_ || (sends && may_wait_for_pages(waits_for_socket));
  const TraceKind kind = waits_for_disk     ? TraceKind::step_on_disk
                         : waits_for_socket ? TraceKind::step_on_socket
                                            : TraceKind::step;
  const std::uint64_t sent_before = offset_;
  TraceEvent event = worker.trace->begin(kind, trace_number_, static_cast<std::uint8_t>(phase_));
  const auto told = step();
  event.phase_after = static_cast<std::uint8_t>(phase_);
  event.want = static_cast<std::uint8_t>(std::optional<Want>(told).value_or(Want::writable));
  event.amount = sends ? offset_ - std::min(sent_before, offset_) : in_hand_.size();
  worker.trace->end(event);
  return told;
}

Want Connection::receive(Worker& worker) {
  std::string_view bytes = unparsed();
  if (bytes.empty() || bytes.size() == in_hand_.size()) {  // nothing new since the parser last asked for more
    const ssize_t got = ::recv(fd_, worker.scratch.data(), worker.scratch.size(), server_.receive_flags());
    if (got <= 0) return nothing_received(worker, got);
    if (server_.waits_in_calls()) worker.clock.refresh();  // the call may have taken any time
    const std::string_view received(worker.scratch.data(), static_cast<std::size_t>(got));
    if (bytes.empty()) {
      release_input();
      bytes = received;
      leaving_ = server_.occupancy().idle_ends(fd_);
      deadline_ms_ = worker.clock.now_ms() + server_.options().request_timeout_ms;
    } else {
      input_.erase(0, input_offset_);  // what was answered: a client that pipelines for ever must not fill the memory
      input_offset_ = 0;
      input_.append(received);
      bytes = unparsed();
    }
  }
  in_hand_ = bytes;
  switch (parser_.parse(bytes, request_)) {
    case RequestParser::Result::incomplete: keep_input(); return Want::readable;
    case RequestParser::Result::refused:
      worker.stats.requests.add();
      request_ = {};  // it was not understood: not even its method is known
      return begin_refusal(worker, parser_.status());
    case RequestParser::Result::complete: break;
  }
  worker.stats.requests.add();
  keep_alive_ = request_.keep_alive && !server_.draining() && !leaving_;
  drain_after_ = false;
  body_to_skip_bytes_ = request_.content_bytes;
  if (parser_.consumed() < bytes.size()) keep_request();
  if (body_to_skip_bytes_ > most_skipped_bytes) return begin_refusal(worker, 413);
  if (request_.chunked) {  // nobody wants the body: answering and closing is the simplest way never to misread it
    keep_alive_ = false;
    drain_after_ = true;
  }
  phase_ = Phase::resolving;
  return Want::writable;
}

Want Connection::resolve(Worker& worker) {
  std::string normal;
  std::string_view name = request_.target;
  if (!is_plain(name)) {
    std::optional<std::string> normalised = normalise_target(name);
    if (!normalised) return begin_refusal(worker, 400);
    normal = std::move(*normalised);
    name = normal;
  }
  if (server_.options().dynamic) {
    if (const auto made = parse_synthetic_reply(name)) return make_reply(worker, *made, name);
  }
  CacheUse use;
  if (!disk_announced_) {
    const bool found = cache_.find(name, worker.clock.now_ms(), pin_, &use);
    worker.stats.count_cache(use);
    if (found) {
      worker.stats.cache_hits.add();
      begin_reply(worker, 200);
      return Want::writable;
    }
    worker.stats.cache_misses.add();
    worker.stats.disk_waits.add();
    disk_announced_ = true;
    keep_request();
    return Want::disk;
  }
  disk_announced_ = false;
  const std::int64_t begun_ns = monotonic_ns();
  const int status = cache_.load(name, worker.clock.now_ms(), pin_, &use);
  worker.stats.disk_blocked_ns.add(static_cast<std::uint64_t>(monotonic_ns() - begun_ns));
  worker.stats.count_cache(use);
  if (status == 301) output_ = redirect_head(name);
  begin_reply(worker, status);
  return Want::writable;
}

// The calling thread burns the CPU time; the connection's owner waits.
Want Connection::make_reply(Worker& worker, const SyntheticReply& reply, std::string_view name) {
  made_ = SyntheticBody{content_seed(name), reply.bytes};
  burn(reply.burn_us);
  worker.clock.refresh();
  phase_ = Phase::pausing;
  deadline_ms_ = worker.clock.now_ms() + static_cast<std::int64_t>(reply.wait_ms);
  return pause(worker);
}

Want Connection::pause(Worker& worker) {
  if (worker.clock.now_ms() < deadline_ms_) return Want::timer;
  begin_reply(worker, 200);
  return Want::writable;
}

// Chooses what is sent. A head that the cache keeps is not copied: transmit points at its pieces.
void Connection::begin_reply(Worker& worker, int status) {
  phase_ = Phase::sending;
  status_ = static_cast<std::int16_t>(status);
  head_begun_ = false;
  space_awaited_ = false;
  offset_ = end_ = 0;
  deadline_ms_ = worker.clock.now_ms() + server_.options().send_timeout_ms;
  if (made_) {
    end_ = made_->size_bytes;
    output_ = made_head(end_);
  } else if (status == 200) {
    const CachedFile& file = *pin_.file;
    end_ = file.bytes.size_bytes;
    if (request_.conditional) {
      const std::string tag = file.tag.empty() ? entity_tag(end_, file.mtime_ns) : std::string(file.tag);
      status_ = static_cast<std::int16_t>(status_by_conditions(request_, tag, file.mtime_ns / 1'000'000'000));
      if (status_ != 200) end_ = 0;
    }
    if (status_ == 412) {
      unpin();                       // what is sent is not the file's
    } else if (file.head.empty()) {  // heads are not cached: every reply pays for its own
      output_ = status_ == 200 ? file_head(file.name, file.bytes.size_bytes, file.mtime_ns)
                               : not_modified_head(file.bytes.size_bytes, file.mtime_ns);
      if (server_.options().align_heads) pad_head(output_);
    }
  }
  if (status_ >= 400) end_ = error_response_to(status_).body.size();
  if (request_.method == Method::head) end_ = 0;
}

// An answer after which this connection cannot be trusted for another request.
Want Connection::begin_refusal(Worker& worker, int status) {
  keep_alive_ = false;
  drain_after_ = true;
  begin_reply(worker, status);
  return Want::writable;
}

Want Connection::send_reply(Worker& worker) {
  const BodyStrategy& strategy = server_.body();
  const Residency residency = server_.options().residency;
  const Sending sending = server_.options().send;
  if (sending == Sending::poll_first && !space_awaited_) {
    space_awaited_ = true;
    return Want::writable;
  }
  for (;;) {
    const CachedFile* file = pin_.file;
    std::array<std::string_view, 2> head;
    std::size_t pieces = 0;
    if (!head_begun_) {
      const auto form = !keep_alive_                  ? HeadEnd::Connection::close
                        : request_.minor_version == 0 ? HeadEnd::Connection::keep_alive
                                                      : HeadEnd::Connection::implied;
      head[pieces++] = !output_.empty() ? std::string_view(output_)
                       : status_ == 200 ? std::string_view(file->head)
                       : status_ == 304 ? std::string_view(file->not_modified_head)
                                        : std::string_view(error_response_to(status_).head);
      head[pieces++] = worker.head_end.get(form, worker.clock.unix_s());
    } else if (!output_.empty()) {
      head[pieces++] = output_;
    }
    const std::uint64_t head_bytes = head[0].size() + head[1].size();

    FileBytes bytes;
    std::uint64_t length = end_ - offset_;
    bool may_wait_for_disk = false;
    if (file != nullptr) {
      bytes = file->bytes;
      if (strategy.reads_pieces(bytes)) length = std::min<std::uint64_t>(length, worker.scratch.size());
      if (residency != Residency::none && length > 0 && (bytes.memory == nullptr || bytes.mapped)) {
        if (residency != Residency::always_offload) length = std::min(length, residency_range_bytes);
        if (!disk_announced_) {
          worker.stats.residency_checks.add();
          if (!is_resident(residency, bytes, offset_, length)) {
            worker.stats.residency_absent.add();
            worker.stats.disk_waits.add();
            disk_announced_ = true;
            return Want::disk;
          }
        }
        may_wait_for_disk = std::exchange(disk_announced_, false);
      }
    } else if (made_) {  // piece by piece, so that nobody who reads slowly holds a whole one
      length = std::min<std::uint64_t>(length, worker.scratch.size());
      content(made_->seed, offset_, worker.scratch.first(length));
      bytes.memory = worker.scratch.data();
    } else if (length > 0) {
      bytes.memory = error_response_to(status_).body.data();
    }

    // Counted before the bytes leave: whoever has received a reply finds it counted.
    const bool last = offset_ + length == end_;
    if (last) worker.stats.count_reply(status_, end_);
    const std::uint64_t from = made_ ? 0 : offset_;
    const std::int64_t begun_ns = may_wait_for_disk ? monotonic_ns() : 0;
    const ssize_t sent = strategy.send(fd_, {head.data(), pieces}, bytes, from, length, worker.scratch);
    if (may_wait_for_disk) {
      const int error = errno;
      worker.stats.disk_blocked_ns.add(static_cast<std::uint64_t>(monotonic_ns() - begun_ns));
      errno = error;
    }
    if (last && sent != static_cast<ssize_t>(head_bytes + length)) worker.stats.uncount_reply(status_, end_);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EFAULT) return file_changed(worker);  // a mapping ends where its file does
      if (errno != EAGAIN) return lost(worker);
      worker.stats.would_block_sends.add();
      return Want::writable;
    }
    if (sent == 0) return file_changed(worker);
    if (sending == Sending::blocking) worker.clock.refresh();                  // the call may have taken any time
    deadline_ms_ = worker.clock.now_ms() + server_.options().send_timeout_ms;  // a slow reader is not a dead one
    head_begun_ = true;
    if (static_cast<std::uint64_t>(sent) < head_bytes) {
      worker.stats.partial_sends.add();
      std::string rest(head[0]);
      rest += head[1];
      output_ = rest.substr(static_cast<std::size_t>(sent));
      return Want::writable;
    }
    output_.clear();
    const std::uint64_t body_sent = static_cast<std::uint64_t>(sent) - head_bytes;
    offset_ += body_sent;
    if (offset_ == end_) return end_reply(worker);
    if (body_sent > 0 && body_sent < length) {
      worker.stats.partial_sends.add();
      return Want::writable;
    }
  }
}

// The file ended before the length that the head has promised.
Want Connection::file_changed(Worker& worker) {
  cache_.invalidate(pin_);
  worker.stats.closed_file_changed.add();
  return Want::close;
}

Want Connection::end_reply(Worker& worker) {
  unpin();
  made_.reset();
  output_.shrink_to_fit();  // empty by now
  if (!input_.empty()) input_offset_ += parser_.consumed();
  in_hand_ = {};
  parser_.reset();
  request_ = {};
  if (!keep_alive_) {
    if (!drain_after_ && body_to_skip_bytes_ == 0 && unparsed().empty()) {
      worker.stats.closed_by_us.add();
      return Want::close;
    }
    ::shutdown(fd_, SHUT_WR);
    phase_ = Phase::draining;
    deadline_ms_ = worker.clock.now_ms() + drain_ms;
    release_input();
    return Want::readable;
  }
  if (body_to_skip_bytes_ > 0) {
    phase_ = Phase::skipping;
    deadline_ms_ = worker.clock.now_ms() + server_.options().request_timeout_ms;
  } else {
    await_request(worker);
    if (is_drained(worker)) return Want::close;
  }
  return Want::readable;
}

bool Connection::is_drained(Worker& worker) const {
  if (!server_.draining() || !is_idle()) return false;
  worker.stats.closed_by_us.add();
  return true;
}

void Connection::await_request(Worker& worker) {
  phase_ = Phase::receiving;
  const bool begun = !unparsed().empty();
  if (!begun) release_input();
  deadline_ms_ =
      worker.clock.now_ms() + (begun ? server_.options().request_timeout_ms : server_.options().idle_timeout_ms);
  if (!begun) server_.occupancy().idle_begins(fd_);
}

// One receive a call, here and in drain: a client that never stops sending must not hold its worker, nor keep it from
// looking at the deadline.
Want Connection::skip_body(Worker& worker) {
  const std::uint64_t here = std::min<std::uint64_t>(unparsed().size(), body_to_skip_bytes_);
  input_offset_ += here;
  body_to_skip_bytes_ -= here;
  if (body_to_skip_bytes_ > 0) {
    const std::size_t most = std::min<std::uint64_t>(worker.scratch.size(), body_to_skip_bytes_);
    const ssize_t got = ::recv(fd_, worker.scratch.data(), most, server_.receive_flags());
    if (got <= 0) return nothing_received(worker, got);
    body_to_skip_bytes_ -= static_cast<std::uint64_t>(got);
  }
  if (body_to_skip_bytes_ == 0) await_request(worker);
  return Want::readable;
}

Want Connection::drain(Worker& worker) {
  const ssize_t got = ::recv(fd_, worker.scratch.data(), worker.scratch.size(), server_.receive_flags());
  if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return Want::readable;
  worker.stats.closed_by_us.add();
  return Want::close;
}

std::optional<Want> Connection::wait_for_disk(Worker& worker) {
  BAKEOFF_CHECK(disk_announced_ || phase_ == Phase::sending);
  const auto wait = [&]() -> std::optional<Want> {
    if (phase_ == Phase::resolving) {
      resolve(worker);
      return std::nullopt;
    }
    return send_reply(worker);
  };
  return unless_memory_ends(worker, [&] {
    disk_announced_ = true;
    return worker.trace == nullptr ? wait() : recorded(worker, wait);
  });
}

Want Connection::reject(Worker& worker) {
  BAKEOFF_CHECK(may_reject());
  return unless_memory_ends(worker, [&] {
    disk_announced_ = false;
    unpin();
    output_.clear();
    worker.stats.shed.add();
    begin_reply(worker, 503);
    return Want::writable;
  });
}

DiskJob Connection::disk_job() const {
  BAKEOFF_CHECK(disk_announced_);
  DiskJob job;
  job.connection = trace_number_;
  job.offset = offset_;
  job.length = 0;
  job.whole_bytes = 0;
  std::string name;
  if (phase_ == Phase::resolving) {
    name = is_plain(request_.target) ? std::string(request_.target) : *normalise_target(request_.target);
    job.offset = 0;
    job.length = residency_range_bytes;  // of a new file the first bytes will be asked for next
    job.whole_bytes = cache_.read_whole_bytes();
  } else {
    const CachedFile& file = *pin_.file;
    name = file.name;
    job.length = std::min(end_ - offset_, residency_range_bytes);
  }
  const std::string_view path = std::string_view(name).substr(1);  // below the root: without its slash
  job.path_bytes = static_cast<std::uint32_t>(std::min(path.size(), job.path.size()));
  std::copy_n(path.data(), job.path_bytes, job.path.data());
  return job;
}

Want Connection::expire(Worker& worker) {
  return unless_memory_ends(worker, [&] { return end_wait(worker); });
}

Want Connection::end_wait(Worker& worker) {
  switch (phase_) {
    case Phase::receiving:
      if (unparsed().empty()) {
        worker.stats.closed_idle_timeout.add();
        return Want::close;
      }
      worker.stats.closed_request_timeout.add();
      request_ = {};
      begin_refusal(worker, 408);
      return run(worker, {});
    case Phase::pausing: begin_reply(worker, 200); return Want::writable;
    case Phase::sending: worker.stats.closed_send_timeout.add(); return Want::close;
    case Phase::draining: worker.stats.closed_by_us.add(); return Want::close;
    case Phase::resolving:
    case Phase::skipping: worker.stats.closed_request_timeout.add(); return Want::close;
  }
  BAKEOFF_CHECK(false);
}

Want Connection::nothing_received(Worker& worker, ssize_t got) {
  if (got == 0) {
    const bool told_to_end = is_idle() && server_.occupancy().idle_ends(fd_);
    (told_to_end ? worker.stats.closed_for_newcomer : worker.stats.closed_by_peer).add();
    return Want::close;
  }
  if (errno != EAGAIN && errno != EINTR) return lost(worker);
  worker.stats.would_block_receives.add();
  return Want::readable;
}

Want Connection::lost(Worker& worker) {
  const bool reset = errno == ECONNRESET || errno == EPIPE || errno == ETIMEDOUT;
  (reset ? worker.stats.closed_reset : worker.stats.closed_error).add();
  return Want::close;
}

// The worker's buffer is about to serve others: what this connection still needs moves to its own.
void Connection::keep_input() {
  if (input_.empty()) {
    input_.assign(in_hand_);
    input_offset_ = 0;
  }
  in_hand_ = unparsed();
}

void Connection::keep_request() {
  const std::string_view before = in_hand_;
  keep_input();
  request_.target = rebase(request_.target, before, in_hand_);
  if (!request_.conditional) return;
  if (request_.if_match) request_.if_match = rebase(*request_.if_match, before, in_hand_);
  if (request_.if_none_match) request_.if_none_match = rebase(*request_.if_none_match, before, in_hand_);
  request_.if_modified_since = rebase(request_.if_modified_since, before, in_hand_);
  request_.if_unmodified_since = rebase(request_.if_unmodified_since, before, in_hand_);
}

void Connection::release_input() {
  input_ = {};
  input_.shrink_to_fit();
  input_offset_ = 0;
}

void Connection::refuse(int fd, Worker& worker) {
  worker.stats.refused.add();
  try {
    const ErrorResponse& error_response = error_response_to(503);
    const std::array<std::string_view, 2> head = {
        error_response.head, worker.head_end.get(HeadEnd::Connection::close, worker.clock.unix_s())};
    FileBytes body;
    body.memory = error_response.body.data();
    if (worker.server.body().send(fd, head, body, 0, error_response.body.size(), {}) > 0)
      worker.stats.count_reply(503, error_response.body.size());
  } catch (const std::bad_alloc&) {
    worker.stats.closed_no_memory.add();
  }
  ::shutdown(fd, SHUT_WR);
  // What the client has sent already is read: otherwise the close becomes a reset that overtakes the answer.
  (void)::recv(fd, worker.scratch.data(), worker.scratch.size(), MSG_DONTWAIT);
  worker.server.close_connection(fd);
}

}  // namespace bakeoff
