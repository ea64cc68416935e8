#include "core/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <utility>

#include "core/base/check.h"
#include "core/http/content.h"
#include "core/files/shared_descriptor_table.h"
#include "core/files/residency.h"
#include "core/server.h"
#include "core/http/target.h"

namespace bakeoff {
namespace {

// A body of a request is skipped up to this length; a longer one gets a 413 and the connection is closed.
constexpr std::uint64_t most_skipped_bytes = 1 << 20;
// How long a peer may go on sending after a response that closes (RFC 9112, 9.6).
constexpr std::int64_t drain_ms = 2000;

// How long --send=timed polls one socket (Pariag 2007, section 4.3).
constexpr int room_wait_ms = 1000;

const Refusal& refusal_of(int status) {
  static const auto all = [] {
    std::array<Refusal, reply_statuses.size()> refusals;
    for (std::size_t i = 0; i < refusals.size(); ++i) {
      if (reply_statuses[i] >= 400) refusals[i] = make_refusal(reply_statuses[i]);
    }
    return refusals;
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

Connection::Connection(int fd, Worker& worker) : server_(worker.server), fd_(fd) {
  worker.clock.refresh();  // its worker may have waited, or been busy with others, for any time
  deadline_ms_ = worker.clock.now_ms() + server_.options().request_timeout_ms;
}

Connection::~Connection() {
  unpin();
  server_.close_connection(fd_);
}

PinSlot& Connection::pin() { return server_.ledger() != nullptr ? server_.ledger()->pin_of(fd_) : own_pin_; }

void Connection::unpin() {
  if (PinSlot& slot = pin(); slot.file != nullptr) server_.cache().unpin(slot);
}

Want Connection::advance(Worker& worker) { return run(worker, {}); }

Want Connection::prepare(Worker& worker) { return run(worker, {Phase::sending}); }

std::optional<Want> Connection::parse(Worker& worker) {
  const Want want = run(worker, {Phase::resolving, Phase::sending});
  if (phase_ != Phase::resolving) return want;
  keep_request();  // another thread looks the name up, and this one's buffer is about to serve others
  return std::nullopt;
}

// Every transition of a connection. It ends when a phase has to wait, or is `not_yet` to be entered.
Want Connection::run(Worker& worker, std::initializer_list<Phase> not_yet) {
  for (;;) {
    const Phase before = phase_;
    for (const Phase phase : not_yet) {
      if (before == phase) return Want::writable;
    }
    Want want = Want::close;
    switch (before) {
      case Phase::receiving: want = receive(worker); break;
      case Phase::resolving: want = resolve(worker); break;
      case Phase::pausing: want = pause(worker); break;
      case Phase::sending: want = transmit(worker); break;
      case Phase::skipping: want = skip_body(worker); break;
      case Phase::draining: want = drain(worker); break;
    }
    if (want == Want::close || want == Want::disk || want == Want::timer || phase_ == before) return want;
    // The next request of a keep-alive connection is a new wait, unless it is already here.
    if (phase_ == Phase::receiving && unparsed().empty()) return Want::readable;
  }
}

Want Connection::receive(Worker& worker) {
  std::string_view bytes = unparsed();
  if (bytes.empty() || bytes.size() == in_hand_.size()) {  // nothing new since the parser last asked for more
    const ssize_t got = ::recv(fd_, worker.scratch.data(), worker.scratch.size(), server_.receive_flags());
    if (got <= 0) return nothing_received(worker, got);
    if (server_.options().waits_in_calls) worker.clock.refresh();  // the call may have taken any time
    const std::string_view received(worker.scratch.data(), static_cast<std::size_t>(got));
    if (bytes.empty()) {
      release_input();
      bytes = received;
      deadline_ms_ = worker.clock.now_ms() + server_.options().request_timeout_ms;
    } else {
      input_.erase(0, input_offset_);  // what was answered, lest a client that pipelines for ever fills the memory
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
  keep_alive_ = request_.keep_alive;
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
    if (const auto made = parse_made_reply(name)) return make_reply(worker, *made, name);
  }
  CacheUse use;
  if (!disk_announced_) {
    const bool found = server_.cache().find(name, worker.clock.now_ms(), pin(), &use);
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
  const int status = server_.cache().load(name, worker.clock.now_ms(), pin(), &use);
  worker.stats.disk_blocked_ns.add(static_cast<std::uint64_t>(monotonic_ns() - begun_ns));
  worker.stats.count_cache(use);
  if (status == 301) output_ = redirect_head(name);
  begin_reply(worker, status);
  return Want::writable;
}

// The processor is burnt by whoever runs this; waiting is left to the connection's owner.
Want Connection::make_reply(Worker& worker, const MadeReply& reply, std::string_view name) {
  made_ = MadeBody{content_seed(name), reply.bytes};
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
  room_awaited_ = false;
  offset_ = end_ = 0;
  deadline_ms_ = worker.clock.now_ms() + server_.options().send_timeout_ms;
  if (made_) {
    end_ = made_->size_bytes;
    output_ = made_head(end_);
  } else if (status == 200) {
    const CachedFile& file = *pin().file;
    end_ = file.bytes.size_bytes;
    if (!request_.if_none_match.empty() || !request_.if_modified_since.empty()) {
      const std::string tag = file.tag.empty() ? entity_tag(end_, file.mtime_ns) : std::string(file.tag);
      if (is_not_modified(request_.if_none_match, request_.if_modified_since, tag, file.mtime_ns / 1'000'000'000)) {
        status_ = 304;
        end_ = 0;
      }
    }
    if (file.head.empty()) {  // heads are not cached: every reply pays for its own
      output_ = status_ == 200 ? file_head(file.name, file.bytes.size_bytes, file.mtime_ns)
                               : not_modified_head(file.bytes.size_bytes, file.mtime_ns);
      if (server_.options().align_heads) pad_head(output_);
    }
  } else if (status >= 400) {
    end_ = refusal_of(status).body.size();
  }
  if (request_.method == Method::head) end_ = 0;
}

// An answer after which this connection cannot be trusted for another request.
Want Connection::begin_refusal(Worker& worker, int status) {
  keep_alive_ = false;
  drain_after_ = true;
  begin_reply(worker, status);
  return Want::writable;
}

Want Connection::transmit(Worker& worker) {
  const BodyStrategy& strategy = server_.body();
  const Residency residency = server_.options().residency;
  const Sending sending = server_.options().send;
  if (sending == Sending::poll_first && !room_awaited_) {
    room_awaited_ = true;
    return Want::writable;
  }
  bool polled = false;
  bool announced = false;  // this is the step that Want::disk announced
  for (;;) {
    const CachedFile* file = pin().file;
    std::array<std::string_view, 2> head;
    std::size_t pieces = 0;
    if (!head_begun_) {
      const auto form = !keep_alive_                  ? HeadEnd::Connection::close
                        : request_.minor_version == 0 ? HeadEnd::Connection::keep_alive
                                                      : HeadEnd::Connection::implied;
      head[pieces++] = !output_.empty() ? std::string_view(output_)
                       : status_ == 200 ? std::string_view(file->head)
                       : status_ == 304 ? std::string_view(file->not_modified_head)
                                        : std::string_view(refusal_of(status_).head);
      head[pieces++] = worker.head_end.get(form, worker.clock.unix_s());
    } else if (!output_.empty()) {
      head[pieces++] = output_;
    }
    const std::uint64_t head_bytes = head[0].size() + head[1].size();

    FileBytes bytes;
    std::uint64_t length = end_ - offset_;
    if (file != nullptr) {
      bytes = file->bytes;
      if (strategy.kind() == BodyKind::uncached) length = std::min<std::uint64_t>(length, worker.scratch.size());
      if (residency != Residency::none && length > 0 && (bytes.memory == nullptr || bytes.mapped)) {
        if (residency != Residency::always_absent) length = std::min(length, residency_range_bytes);
        if (!disk_announced_) {
          worker.stats.residency_checks.add();
          if (!is_resident(residency, bytes, offset_, length)) {
            worker.stats.residency_absent.add();
            worker.stats.disk_waits.add();
            disk_announced_ = true;
            return Want::disk;
          }
        }
        announced = std::exchange(disk_announced_, false);
      }
    } else if (made_) {  // piece by piece, so that nobody who reads slowly holds a whole one
      length = std::min<std::uint64_t>(length, worker.scratch.size());
      content(made_->seed, offset_, worker.scratch.first(length));
      bytes.memory = worker.scratch.data();
    } else if (length > 0) {
      bytes.memory = refusal_of(status_).body.data();
    }

    // Counted before the bytes leave: whoever has received a reply finds it counted.
    const bool last = offset_ + length == end_;
    if (last) worker.stats.count_reply(status_, end_);
    const std::uint64_t from = made_ ? 0 : offset_;
    const ssize_t sent = strategy.send(fd_, {head.data(), pieces}, bytes, from, length, worker.scratch);
    if (last && sent != static_cast<ssize_t>(head_bytes + length)) worker.stats.uncount_reply(status_, end_);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EFAULT) return file_changed(worker);  // a mapping ends where its file does
      if (errno != EAGAIN) return lost(worker);
      worker.stats.would_block_sends.add();
      if (sending != Sending::timed || !worker.may_wait_for_room || polled) return Want::writable;
      polled = true;
      disk_announced_ = announced;  // the second try is the same step
      wait_for_room(worker);
      continue;
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
  server_.cache().doom(pin());
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
  }
  return Want::readable;
}

void Connection::await_request(Worker& worker) {
  phase_ = Phase::receiving;
  const bool begun = !unparsed().empty();
  if (!begun) release_input();
  deadline_ms_ =
      worker.clock.now_ms() + (begun ? server_.options().request_timeout_ms : server_.options().idle_timeout_ms);
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

void Connection::wait_for_room(Worker& worker) const {
  worker.stats.room_waits.add();
  pollfd socket{fd_, POLLOUT, 0};
  ::poll(&socket, 1, room_wait_ms);  // however it ends, one more try tells
  worker.clock.refresh();
}

std::optional<Want> Connection::wait_for_disk(Worker& worker) {
  BAKEOFF_CHECK(disk_announced_);
  if (phase_ == Phase::resolving) {
    resolve(worker);
    return std::nullopt;
  }
  const Sending sending = server_.options().send;
  Want want = transmit(worker);
  // Who tries also waits for room, a second at a time: the next try is another job of the same kind.
  if (want == Want::writable && sending == Sending::timed) return std::nullopt;
  // A call in blocking mode comes back now and then only for somebody to look around.
  while (sending == Sending::blocking && (want == Want::writable || want == Want::disk)) {
    worker.clock.refresh();
    pollfd stop{server_.stop_fd(), POLLIN, 0};
    if (worker.clock.now_ms() >= deadline_ms_ || ::poll(&stop, 1, 0) == 1) break;
    want = transmit(worker);
  }
  return want;
}

Want Connection::decline(Worker& worker) {
  BAKEOFF_CHECK(may_decline());
  disk_announced_ = false;
  unpin();
  output_.clear();
  worker.stats.shed.add();
  begin_reply(worker, 503);
  return Want::writable;
}

DiskJob Connection::disk_job() const {
  BAKEOFF_CHECK(disk_announced_);
  DiskJob job;
  job.offset = offset_;
  job.length = 0;
  std::string name;
  if (phase_ == Phase::resolving) {
    name = is_plain(request_.target) ? std::string(request_.target) : *normalise_target(request_.target);
    job.offset = 0;
    job.length = residency_range_bytes;  // of a new file the first bytes will be asked for next
  } else {
    const CachedFile& file = *const_cast<Connection*>(this)->pin().file;
    name = file.name;
    job.length = std::min(end_ - offset_, residency_range_bytes);
  }
  const std::string_view path = std::string_view(name).substr(1);  // below the root: without its slash
  job.path_bytes = static_cast<std::uint32_t>(std::min(path.size(), job.path.size()));
  std::copy_n(path.data(), job.path_bytes, job.path.data());
  return job;
}

Want Connection::expire(Worker& worker) {
  switch (phase_) {
    case Phase::receiving:
      if (unparsed().empty()) {
        worker.stats.closed_idle_timeout.add();
        return Want::close;
      }
      worker.stats.closed_request_timeout.add();
      request_ = {};
      begin_refusal(worker, 408);
      return advance(worker);
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
    worker.stats.closed_by_peer.add();
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
  request_.if_none_match = rebase(request_.if_none_match, before, in_hand_);
  request_.if_modified_since = rebase(request_.if_modified_since, before, in_hand_);
}

void Connection::release_input() {
  input_ = {};
  input_.shrink_to_fit();
  input_offset_ = 0;
}

void Connection::refuse(int fd, Worker& worker) {
  worker.stats.refused.add();
  const Refusal& refusal = refusal_of(503);
  const std::array<std::string_view, 2> head = {refusal.head,
                                                worker.head_end.get(HeadEnd::Connection::close, worker.clock.unix_s())};
  FileBytes body;
  body.memory = refusal.body.data();
  if (worker.server.body().send(fd, head, body, 0, refusal.body.size(), {}) > 0)
    worker.stats.count_reply(503, refusal.body.size());
  ::shutdown(fd, SHUT_WR);
  // What the client has sent already is read, lest the close becomes a reset that overtakes the answer.
  (void)::recv(fd, worker.scratch.data(), worker.scratch.size(), MSG_DONTWAIT);
  worker.server.close_connection(fd);
}

}  // namespace bakeoff
