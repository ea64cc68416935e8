#include "harness/load/client.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "core/base/check.h"
#include "core/base/errors.h"

namespace bakeoff {

namespace {

constexpr std::size_t buffer_bytes = 64 * 1024;
// Of full buffers from one connection, before the others have their turn.
constexpr std::uint32_t most_reads_at_once = 64;
// More connections at once than this overflow the accept queue of most servers, and a dropped SYN costs a second. On
// loopback a connection is open before the server accepts it, so the queue also fills if the server gets no time.
constexpr std::uint32_t most_connecting = 256;
constexpr std::int64_t opening_pause_ns = 6'000'000;  // 256 in 6 ms: 43,000 a second
// Opening that makes no progress for so long will not make any: the run begins with what is open.
constexpr std::int64_t opening_patience_ns = 1'000'000'000;
constexpr std::int64_t first_backoff_ns = 10'000'000;
constexpr std::uint8_t most_backoffs = 6;  // 10 ms, doubled up to 640 ms
constexpr std::int64_t second_ns = 1'000'000'000;
// A sleeping thread is woken some tens of microseconds late. A schedule is kept better: its thread sleeps until shortly
// before, and looks for replies without sleeping until the moment has come. That time is counted apart from work.
constexpr std::int64_t spin_before_due_ns = 60'000;
// Between looks whether further arrivals can be handed over.
constexpr std::int64_t full_pause_ns = 1'000'000;
constexpr std::int64_t least_turn_patience_ns = 10'000'000;
// When bodies are discarded: enough for a head, little of the body.
constexpr std::size_t head_read_bytes = 4096;

double thread_cpu_s() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) * 1e-9;
}

LoadError error_of(int number, bool connecting) {
  switch (number) {
    case ECONNREFUSED: return LoadError::connect_refused;
    case ECONNRESET:
    case EPIPE: return LoadError::reset;
    case ETIMEDOUT: return connecting ? LoadError::connect_timeout : LoadError::timeout;
    case EMFILE:
    case ENFILE: return LoadError::fd_unavailable;
    case EADDRNOTAVAIL: return LoadError::address_unavailable;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN: return LoadError::unreachable;
    default: return LoadError::other;
  }
}

// What a slow reader takes at once: small enough to look even, large enough that wake-ups stay rare.
std::size_t slow_bite_bytes(std::uint64_t bytes_per_s) {
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(bytes_per_s / 50, 1, buffer_bytes));
}

// No slot's.
constexpr std::uint64_t bell_token = ~std::uint64_t{0};

std::uint64_t token_of(std::uint32_t slot, std::uint32_t generation) {
  return (std::uint64_t{generation} << 32) | slot;
}

}  // namespace

Client::Client(const ClientOptions& options, Source& source, Model& model, Recorder& recorder, Phases& phases)
    : options_(options),
      source_(source),
      model_(model),
      recorder_(recorder),
      phases_(phases),
      connections_(options.connections),
      in_flight_(model.bursts() ? 0 : options.connections),
      bursts_(model.bursts() ? options.connections : 0),
      parked_(options.connections),
      // A time-out is found late by at most a 64th of itself.
      timeouts_(static_cast<int>(options.connections),
                std::clamp<std::int64_t>(std::min(options.timeout_ns, options.connect_timeout_ns) / 64, 1'000'000,
                                         50'000'000)),
      buffer_(new char[buffer_bytes]) {
  for (std::uint32_t slot = 0; options_.trace != nullptr && slot < options_.connections; ++slot) {
    recorders_.emplace_back(*options_.trace, "client", LaneKind::client);
    recorders_.back().rename("client", static_cast<int>(options_.first_slot + slot + 1));
  }
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) throw StartError(std::string("epoll_create1: ") + std::strerror(errno));
  // Open-loop requests leave to the microsecond, which no older call can wait for.
  epoll_event none{};
  const timespec at_once{};
  if (epoll_pwait2(epoll_, &none, 1, &at_once, nullptr) < 0) {
    throw StartError(std::string("this kernel or sandbox lacks epoll_pwait2 (") + std::strerror(errno) +
                     "); the load generator needs Linux 5.11 or later");
  }
  if (options_.waiting == nullptr) return;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = bell_token;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, options_.waiting->bell(options_.worker), &event) != 0)
    throw StartError(std::string("epoll_ctl: ") + std::strerror(errno));
}

Client::~Client() {
  for (const Connection& connection : connections_)
    if (connection.fd >= 0) close(connection.fd);
  close(epoll_);
}

void Client::run() {
  prctl(PR_SET_TIMERSLACK, 1UL);  // the default slack of 50 us would round a schedule of microseconds
  std::array<epoll_event, 512> events;
  std::int64_t now_ns = last_progress_ns_ = now();
  for (;; begun_in_turn_ = 0) {
    if (!begun_) {
      open_some();
      begin();
    }
    std::int64_t wait_ns = std::max<std::int64_t>(0, next_event_ns(now_ns) - now_ns);
    const bool spin = wait_ns > 0 && begun_ && !parked_.empty() && model_.next_due_ns() - now_ns < spin_before_due_ns;
    if (spin) wait_ns = 0;
    if (options_.waiting != nullptr) {
      options_.waiting->tell_free(options_.worker, begun_ && !parked_.empty());
      if (may_take()) wait_ns = 0;
    }
    const timespec wait{wait_ns / second_ns, wait_ns % second_ns};
    const int ready = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &wait, nullptr);
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == bell_token) continue;
      const auto slot = static_cast<std::uint32_t>(event.data.u64);
      if (connections_[slot].generation == event.data.u64 >> 32) handle(slot, event.events);
      // What has become due goes out before the next reply is looked at: replies come in bursts.
      if (begun_ && recorder_.own_schedule()) send_due(now());
    }

    const std::int64_t turn_start_ns = now_ns;
    now_ns = now();
    if (spin && ready <= 0) spin_ns_ += now_ns - turn_start_ns;
    if (now_ns >= timeouts_.next())
      timeouts_.expire(now_ns, [&](int slot) { time_out(static_cast<std::uint32_t>(slot), now_ns); });
    while (wakes_.next_ns() <= now_ns) wake(wakes_.pop(), now_ns);
    if (!begun_) continue;
    now_ns = send_due(now_ns);
    share_schedule(now_ns);
    if (!measuring_ && now_ns >= recorder_.start_ns()) {
      measuring_ = true;
      cpu_at_start_s_ = thread_cpu_s();
      account(-1);
      spin_at_start_ns_ = spin_ns_;
    }
    publish();
    if (options_.turns.measured != 0) {
      if (!end_turn(now_ns)) return finish();
      continue;
    }
    // Others may end a run before its time.
    const std::int64_t end_ns = phases_.end_ns.load(std::memory_order_relaxed);
    if (end_ns != recorder_.end_ns()) recorder_.set_window(std::min(recorder_.start_ns(), end_ns), end_ns);
    if (now_ns >= end_ns) return finish();
    if (model_.finished()) {
      recorder_.set_window(recorder_.start_ns(), now_ns);
      return finish();
    }
  }
}

// Until when the turn's last replies are waited for, as far as is known by now.
std::int64_t Client::turn_patience_ns() const {
  return std::max(turn_end_ns_, last_byte_ns_) + std::max(options_.turns.each_ns, least_turn_patience_ns);
}

// A turn ends when its time is over and nothing is in flight any more, or nothing comes. Then it waits for the next
// one. False when the run is over.
bool Client::end_turn(std::int64_t now_ns) {
  const bool stopped = phases_.end_ns.load(std::memory_order_relaxed) != never_ns;
  if (!stopped) {
    if (now_ns < turn_end_ns_) return true;
    const bool all_replied = std::none_of(connections_.begin(), connections_.end(),
                                          [](const Connection& connection) { return connection.in_flight != 0; });
    if (!all_replied && now_ns < turn_patience_ns()) return true;
  }
  for (std::int64_t rest_ns = phases_.rest_ns; rest_ns < now_ns;) {
    if (phases_.rest_ns.compare_exchange_weak(rest_ns, now_ns)) break;
  }
  phases_.rested.fetch_add(1);
  wake_all(phases_.rested);
  return begin_turn();
}

// The run's clock goes on where it stood when the last worker came to rest. False when the run is over.
// BLOCKS: until others let it begin, or end the run.
bool Client::begin_turn() {
  while (phases_.turn == turn_ && phases_.end_ns == never_ns) wait_while(phases_.turn, turn_, 500'000'000);
  const std::int64_t rest_ns = turn_ == 0 ? phases_.begin_ns : phases_.rest_ns;
  std::vector<Paused> paused;
  paused.swap(paused_);
  if (phases_.end_ns != never_ns) {
    for (const Paused& one : paused) recorder_.paused(one.since_ns, rest_ns);
    recorder_.set_window(std::min(recorder_.start_ns(), rest_ns), rest_ns);
    return false;
  }
  std::int64_t went_on_ns = never_ns;
  const std::int64_t woken_ns = monotonic_ns();
  if (phases_.went_on_ns.compare_exchange_strong(went_on_ns, woken_ns)) went_on_ns = woken_ns;
  stood_still_ns_ = went_on_ns - rest_ns;
  turn_end_ns_ = rest_ns + (turn_ == 0 ? options_.turns.first_ns : options_.turns.each_ns);
  if (++turn_ == 2) recorder_.set_window(rest_ns, never_ns);
  const std::int64_t now_ns = now();
  for (Paused& one : paused) {
    recorder_.paused(one.since_ns, now_ns);
    one.action.at_ns = now_ns;
    perform(one.slot, one.action, now_ns);
  }
  return true;
}

// Each with the time at which it went out, not that of the first. Returns the time.
std::int64_t Client::send_due(std::int64_t now_ns) {
  while (!parked_.empty() && (model_.next_due_ns() <= now_ns || may_take())) {
    ask_model(parked_.pop(), now_ns);
    now_ns = now();
  }
  return now_ns;
}

// What is due and finds no free slot here may go to another worker's.
void Client::share_schedule(std::int64_t now_ns) {
  if (options_.waiting == nullptr || !parked_.empty()) return;
  if (model_.hand_over(now_ns) || !options_.waiting->empty()) options_.waiting->ring();
}

std::int64_t Client::next_event_ns(std::int64_t now_ns) const {
  std::int64_t next_ns = std::min({timeouts_.next(), wakes_.next_ns(), now_ns + 100'000'000});
  if (!begun_) {
    if (!settled_ && next_to_open_ < options_.connections) next_ns = std::min(next_ns, next_opening_ns_);
    return std::min({next_ns, phases_.begin_ns.load(std::memory_order_relaxed), now_ns + 5'000'000});
  }
  next_ns = std::min(next_ns, recorder_.end_ns());
  if (turn_end_ns_ != never_ns) next_ns = std::min(next_ns, now_ns < turn_end_ns_ ? turn_end_ns_ : turn_patience_ns());
  if (!measuring_) next_ns = std::min(next_ns, recorder_.start_ns());
  const std::int64_t due_ns = model_.next_due_ns();
  if (due_ns == never_ns) return next_ns;
  if (!parked_.empty()) return std::min(next_ns, std::max(now_ns + 1, due_ns - spin_before_due_ns));
  // It will go to another worker; one that is due already found no place even there.
  if (options_.waiting != nullptr) return std::min(next_ns, due_ns > now_ns ? due_ns : now_ns + full_pause_ns);
  return next_ns;
}

// Before the first request: opens connections, a bounded number at a time, and tells when it has come to an end.
void Client::open_some() {
  if (settled_) return;
  const std::int64_t now_ns = now();
  if (model_.opens_first()) {
    if (now_ns >= next_opening_ns_) {
      next_opening_ns_ = now_ns + opening_pause_ns;
      for (std::uint32_t i = connecting_; i < most_connecting && next_to_open_ < options_.connections; ++i) {
        connect_slot(next_to_open_++, now_ns);
        last_progress_ns_ = now_ns;
      }
    }
    const bool all_tried = next_to_open_ == options_.connections && connecting_ == 0;
    if (!all_tried && now_ns - last_progress_ns_ < opening_patience_ns) return;
  }
  settled_ = true;
  phases_.opened.fetch_add(static_cast<std::uint32_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [](const Connection& connection) { return connection.state == State::open; })));
  phases_.settled.fetch_add(1, std::memory_order_release);
}

// The run's times are known: every slot begins.
void Client::begin() {
  const std::int64_t begin_ns = phases_.begin_ns.load(std::memory_order_acquire);
  const std::int64_t now_ns = now();
  if (now_ns < begin_ns) return;
  begun_ = true;
  for (std::int64_t late_ns = phases_.late_ns; late_ns < now_ns - begin_ns;) {
    if (phases_.late_ns.compare_exchange_weak(late_ns, now_ns - begin_ns)) break;
  }
  recorder_.set_window(phases_.start_ns.load(), phases_.end_ns.load());
  model_.begin(begin_ns);
  if (options_.turns.measured != 0) begin_turn();
  for (std::uint32_t slot = 0; slot < options_.connections; ++slot)
    if (connections_[slot].state != State::connecting && !connections_[slot].waiting) ask_model(slot, now());
}

void Client::ask_model(std::uint32_t slot, std::int64_t now_ns) { perform(slot, model_.next(slot, now_ns), now_ns); }

void Client::perform(std::uint32_t slot, const Action& action, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  switch (action.kind) {
    case Action::Kind::send:
      if (now_ns >= turn_end_ns_) return paused_.push_back({slot, action, now_ns});
      BAKEOFF_CHECK(action.count == 1 || (action.count > 1 && !bursts_.empty()));
      BAKEOFF_CHECK(connection.in_flight == 0);
      if (!bursts_.empty() && bursts_[slot].size() < action.count) bursts_[slot].resize(action.count);
      connection.first = 0;
      connection.in_flight = connection.unsent = action.count;
      connection.close_after = action.close_after;
      for (std::uint32_t i = 0; i < action.count; ++i) {
        const ClientRequest& request = source_.next(slot);
        const bool verify =
            options_.verify_every != 0 && request.has_content && ++verify_counter_ % options_.verify_every == 0;
        in_flight(slot, i) = {{action.at_ns, now_ns}, &request, verify, false, false};
        if (recorder_.own_schedule()) recorder_.offered(action.at_ns);
      }
      if (connection.state == State::open) {
        transmit(slot, now_ns);
      } else if (connection.state == State::closed) {
        connect_slot(slot, now_ns);
      }
      return;
    case Action::Kind::wait: return wake_at(slot, action.at_ns);
    case Action::Kind::park: parked_.push(slot); return;
    case Action::Kind::end: close_connection(slot, now_ns); return;
  }
}

void Client::wake_at(std::uint32_t slot, std::int64_t at_ns) {
  connections_[slot].waiting = true;
  wakes_.push(at_ns, token_of(slot, 0));
}

// Generation 0 belongs to the slot, any other to a connection of that generation that has more to read.
void Client::wake(std::uint64_t token, std::int64_t now_ns) {
  const auto slot = static_cast<std::uint32_t>(token);
  Connection& connection = connections_[slot];
  if (const auto generation = static_cast<std::uint32_t>(token >> 32); generation != 0) {
    if (connection.generation != generation) return;
    connection.reading_later = false;
    return receive(slot);
  }
  connection.waiting = false;
  if (begun_) {
    ask_model(slot, now_ns);
  } else if (connection.state == State::closed) {
    connect_slot(slot, now_ns);
  }
}

int Client::new_socket(std::uint32_t slot) {
  const int fd = socket(options_.target.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (options_.receive_buffer_bytes != 0) {
    const int bytes = static_cast<int>(options_.receive_buffer_bytes);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes,
               sizeof bytes);  // before connect: it bounds the window that is offered
  }
  if (options_.source_addresses > 1) {
    // Without this option bind() would look for a port that is free for every target.
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (options_.first_slot + slot) % options_.source_addresses);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) {
      const int number = errno;
      close(fd);
      errno = number;
      return -1;
    }
  }
  return fd;
}

void Client::connect_slot(std::uint32_t slot, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  BAKEOFF_CHECK(connection.state == State::closed);
  connection.opening_ns = now_ns;
  connection.fd = new_socket(slot);
  if (connection.fd < 0) return fail(slot, error_of(errno, true), now_ns);
  recorder_.connecting(++sockets_, ++begun_in_turn_);
  connection.served = false;
  if (connect(connection.fd, options_.target.get(), options_.target.length) != 0 && errno != EINPROGRESS) {
    if (!begun_) phases_.opening_errno.store(errno);
    return fail(slot, error_of(errno, true), now_ns);
  }
  connection.state = State::connecting;
  ++connecting_;
  timeouts_.set(static_cast<int>(slot), now_ns + options_.connect_timeout_ns);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = token_of(slot, connection.generation);
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0) fail(slot, LoadError::other, now_ns);
}

void Client::connected(std::uint32_t slot, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  connection.state = State::open;
  --connecting_;
  last_progress_ns_ = now_ns;
  timeouts_.clear(static_cast<int>(slot));
  recorder_.opened(slot, now_ns);
  recorder_.connected(connection.opening_ns, now_ns);
  model_.connected(slot);
  if (connection.in_flight != 0) {
    transmit(slot, now_ns);
  } else if (begun_ && !connection.waiting) {
    ask_model(slot, now_ns);
  }
}

// Sends what is in flight and not yet sent.
void Client::transmit(std::uint32_t slot, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  const std::uint32_t count = connection.unsent;
  connection.unsent = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    InFlight& request = in_flight(slot, i);
    if (request.again) continue;  // for its user it is one attempt, which began when it went out first
    request.times.sent_ns = now_ns;
    recorder_.attempted(slot, request.request->class_index, now_ns);
  }
  connection.body_bytes = 0;
  const ClientRequest& first = *in_flight(slot, 0).request;
  connection.parser.begin(first.head);
  // Requests that had to wait for this connection count from when it began to open.
  const bool opened_for_them = !connection.served && !options_.timeout_by_phase && begun_ &&
                               connection.opening_ns >= phases_.begin_ns.load(std::memory_order_relaxed);
  const std::int64_t began_ns = in_flight(slot, 0).again ? in_flight(slot, 0).times.sent_ns
                                : opened_for_them        ? connection.opening_ns
                                                         : now_ns;
  timeouts_.set(static_cast<int>(slot), began_ns + options_.timeout_ns);
  if (!recorders_.empty()) record_asked(slot, count);
  if (count == 1) {
    recorder_.sent(1, first.text_bytes, now_ns);
    return send_text(slot, {first.text, first.text_bytes}, now_ns);
  }
  burst_text_.clear();
  for (std::uint32_t i = 0; i < count; ++i)
    burst_text_.append(in_flight(slot, i).request->text, in_flight(slot, i).request->text_bytes);
  recorder_.sent(count, burst_text_.size(), now_ns);
  send_text(slot, burst_text_, now_ns);
}

void Client::record_asked(std::uint32_t slot, std::uint32_t count) {
  TraceEvent asked;
  asked.kind = TraceKind::asked;
  asked.connection = options_.first_slot + slot + 1;
  asked.amount = client_place(connections_[slot].fd, false);
  asked.begin_ns = asked.end_ns = monotonic_ns();
  for (std::uint32_t i = 0; i < count; ++i) recorders_[slot].add(asked);
}

void Client::send_text(std::uint32_t slot, std::string_view text, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  const ssize_t sent = send(connection.fd, text.data(), text.size(), MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(text.size())) [[likely]] {
    connection.unsent_text.reset();
    return;
  }
  if (sent < 0 && errno != EAGAIN) {
    const LoadError error = error_of(errno, false);
    if (error == LoadError::reset && may_reissue(slot)) return reissue(slot, now_ns);
    return fail(slot, error, now_ns);
  }
  auto rest = std::make_unique<std::string>(text.substr(sent < 0 ? 0 : static_cast<std::size_t>(sent)));
  connection.unsent_text = std::move(rest);
}

void Client::handle(std::uint32_t slot, std::uint32_t events) {
  Connection& connection = connections_[slot];
  if (connection.state == State::connecting) {
    const std::int64_t now_ns = now();
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      int number = 0;
      socklen_t length = sizeof number;
      getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &number, &length);
      if (!begun_) phases_.opening_errno.store(number);
      return fail(slot, number == 0 ? LoadError::reset : error_of(number, true), now_ns);
    }
    const std::uint32_t generation = connection.generation;
    connected(slot, now_ns);
    if (connection.generation != generation || (events & (EPOLLIN | EPOLLRDHUP)) == 0) return;
  } else if (connection.unsent_text != nullptr && (events & EPOLLOUT) != 0) {
    const std::uint32_t generation = connection.generation;
    send_text(slot, std::string(*connection.unsent_text), now());
    if (connection.generation != generation) return;
  }
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection.ended = true;
  if ((connection.ended || (events & EPOLLIN) != 0) && !connection.reading_later) receive(slot);
}

void Client::receive(std::uint32_t slot) {
  Connection& connection = connections_[slot];
  const std::uint32_t generation = connection.generation;
  const bool slow = options_.reader_bytes_per_s != 0;
  for (std::uint32_t reads = 1;; ++reads) {
    // What is left of a body with a told length can be dropped where it is, unless its bytes are to be looked at.
    const bool discard = options_.discard && connection.in_flight != 0 && connection.parser.remaining_bytes() != 0 &&
                         !in_flight(slot, 0).verify;
    std::size_t room =
        discard ? static_cast<std::size_t>(std::min<std::uint64_t>(connection.parser.remaining_bytes(), 1u << 30))
        : options_.discard ? head_read_bytes
                           : buffer_bytes;
    if (slow) room = std::min(room, slow_bite_bytes(options_.reader_bytes_per_s));
    // Discarding writes nothing, so `room` may be more than the buffer has; the bare call, as recv() would be checked
    // for it.
    const ssize_t got = discard ? syscall(SYS_recvfrom, connection.fd, buffer_.get(), room, MSG_TRUNC, nullptr, nullptr)
                                : recv(connection.fd, buffer_.get(), room, 0);
    const std::int64_t now_ns = now();
    if (got > 0) {
      const auto bytes = static_cast<std::size_t>(got);
      recorder_.received(bytes, now_ns);
      last_byte_ns_ = now_ns;
      if (discard) {
        connection.body_bytes += bytes;
        if (connection.parser.skipped(bytes) == ReplyParser::State::complete && !finish_reply(slot, false, now_ns))
          return;
      } else if (!take(slot, {buffer_.get(), bytes}, now_ns)) {
        return;
      }
      if (connection.generation != generation) return;
      if (slow) return read_slowly(slot, bytes, now_ns);
      // Less than there was room for: the socket is empty, and what comes next makes a new event.
      if (bytes < room && !connection.ended) return;
      // One that sends faster than it can be read would keep the others, and its own time-out, waiting for ever.
      if (reads == most_reads_at_once) return read_later(slot, now_ns);
    } else if (got == 0) {
      return ended_by_peer(slot, now_ns);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      const LoadError error = error_of(errno, false);
      if (connection.in_flight == 0) return ended_by_peer(slot, now_ns);
      if (error == LoadError::reset && may_reissue(slot)) return reissue(slot, now_ns);
      return fail(slot, error, now_ns);
    }
  }
}

// A slow reader has read its share: the next one is due when the time for this one has passed.
void Client::read_slowly(std::uint32_t slot, std::size_t got, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  const auto pause_ns =
      static_cast<std::int64_t>(static_cast<double>(got) * 1e9 / static_cast<double>(options_.reader_bytes_per_s));
  connection.may_read_ns = std::max(connection.may_read_ns, now_ns) + pause_ns;
  read_later(slot, connection.may_read_ns);
}

void Client::read_later(std::uint32_t slot, std::int64_t at_ns) {
  connections_[slot].reading_later = true;
  wakes_.push(at_ns, token_of(slot, connections_[slot].generation));
}

// Bytes of replies. False when the connection is gone.
bool Client::take(std::uint32_t slot, std::string_view data, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  while (!data.empty()) {
    if (connection.in_flight == 0) {
      fail(slot, LoadError::malformed, now_ns);  // nothing was asked for
      return false;
    }
    if (connection.parser.idle()) connection.first_byte_ns = now_ns;
    const ReplyParser::Step step = connection.parser.next(data);
    if (!step.body.empty()) {
      InFlight& request = in_flight(slot, 0);
      if (request.verify && !content_matches(request.request->content_seed, connection.body_bytes, step.body))
        request.wrong = true;
      connection.body_bytes += step.body.size();
    }
    data.remove_prefix(step.consumed);
    if (step.state == ReplyParser::State::malformed) {
      fail(slot, LoadError::malformed, now_ns);
      return false;
    }
    if (step.state == ReplyParser::State::complete && !finish_reply(slot, !data.empty(), now_ns)) return false;
  }
  return true;
}

// The first request in flight has its whole reply. more_data: bytes behind it were received with it.
// False when the connection is gone.
bool Client::finish_reply(std::uint32_t slot, bool more_data, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  const InFlight done = in_flight(slot, 0);
  const ClientRequest& request = *done.request;
  const auto body_bytes = static_cast<std::int64_t>(connection.body_bytes);
  const std::uint16_t status = connection.parser.status();
  const bool keep_alive = connection.parser.keep_alive();

  std::int64_t expected_bytes = request.head ? 0 : request.expected_bytes;
  if (expected_bytes == ClientRequest::length_of_first && status / 100 == 2) {
    if (first_length_ == ClientRequest::any_length) first_length_ = body_bytes;
    expected_bytes = first_length_;
  }
  recorder_.completed(status, connection.parser.head_bytes(), connection.body_bytes, connection.parser.footer_bytes(),
                      done.times.sent_ns, connection.first_byte_ns, now_ns);
  if (status / 100 != 2) {
    recorder_.failed(request.class_index, done.times.sent_ns, LoadError::bad_status, now_ns);
  } else if (expected_bytes != ClientRequest::any_length && expected_bytes != body_bytes) {
    recorder_.failed(request.class_index, done.times.sent_ns, LoadError::wrong_length, now_ns);
  } else if (done.wrong) {
    recorder_.failed(request.class_index, done.times.sent_ns, LoadError::wrong_bytes, now_ns);
  } else {
    recorder_.replied(slot, request.class_index, done.times, connection.body_bytes, done.verify, now_ns);
  }
  if (!recorders_.empty()) {
    TraceEvent answered;
    answered.kind = TraceKind::answered;
    answered.connection = options_.first_slot + slot + 1;
    answered.amount = connection.body_bytes;
    answered.begin_ns = connection.first_byte_ns;
    answered.end_ns = monotonic_ns();
    recorders_[slot].add(answered);
  }
  connection.served = true;
  connection.failures = 0;

  if (--connection.in_flight != 0) {
    ++connection.first;
    if (!keep_alive) {
      reissue(slot, now_ns);
      return false;
    }
    connection.body_bytes = 0;
    connection.parser.begin(in_flight(slot, 0).request->head);
    timeouts_.set(static_cast<int>(slot), in_flight(slot, 0).times.sent_ns + options_.timeout_ns);
    return true;
  }
  timeouts_.clear(static_cast<int>(slot));
  if (more_data) {
    // The reply itself was right, but what follows it belongs to nothing that was asked for.
    recorder_.failed(request.class_index, now_ns, LoadError::malformed, now_ns);
  }
  const std::uint32_t generation = connection.generation;
  if (more_data || !keep_alive || connection.close_after) close_connection(slot, now_ns);
  const Action action = model_.next(slot, now_ns);
  if (recorder_.own_schedule() && action.kind == Action::Kind::send && action.at_ns < now_ns && parked_.empty())
    recorder_.found_no_connection(action.at_ns);
  perform(slot, action, now_ns);
  return connection.generation == generation;
}

void Client::ended_by_peer(std::uint32_t slot, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  if (connection.in_flight != 0) {
    if (connection.parser.end_of_stream()) {
      finish_reply(slot, false, now_ns);
      return;
    }
    if (may_reissue(slot)) return reissue(slot, now_ns);
    return fail(slot, LoadError::closed_early, now_ns);
  }
  // An idle connection may be closed at any time; the next request opens a new one.
  close_connection(slot, now_ns);
}

// Whether the connection ended between two replies: a server may close an idle one at any time, and then has not
// processed the request on its way. The request may be sent again if it is idempotent (RFC 9112, section 9.3.1). A new
// connection must give at least one reply before its end is forgiven, so that a server that never answers is not asked
// for ever.
bool Client::may_reissue(std::uint32_t slot) {
  const Connection& connection = connections_[slot];
  if (!connection.served || !connection.parser.idle()) return false;
  for (std::uint32_t i = 0; i < connection.in_flight; ++i)
    if (!in_flight(slot, i).request->idempotent) return false;
  return true;
}

// Sends what the connection left unanswered on a new one.
void Client::reissue(std::uint32_t slot, std::int64_t now_ns) {
  close_connection(slot, now_ns);
  for (std::uint32_t i = 0; i < connections_[slot].in_flight; ++i) {
    in_flight(slot, i).again = true;
    recorder_.reissued(now_ns);
  }
  connections_[slot].unsent = connections_[slot].in_flight;
  connect_slot(slot, now_ns);
}

void Client::time_out(std::uint32_t slot, std::int64_t now_ns) {
  const Connection& connection = connections_[slot];
  const bool connecting = connection.state == State::connecting;
  const TimeoutPhase phase = connecting                          ? TimeoutPhase::connect
                             : connection.unsent_text != nullptr ? TimeoutPhase::send
                             : connection.parser.idle()          ? TimeoutPhase::first_byte
                                                                 : TimeoutPhase::body;
  recorder_.timed_out(phase, now_ns);
  fail(slot, connecting ? LoadError::connect_timeout : LoadError::timeout, now_ns);
}

// What is in flight on this slot has failed. Where not even one reply came since the last failure, the next try waits.
void Client::fail(std::uint32_t slot, LoadError error, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  for (std::uint32_t i = 0; i < connection.in_flight; ++i) {
    const InFlight& request = in_flight(slot, i);
    // One whose connection was never there did not become an attempt when it was sent.
    const bool sent = connection.unsent == 0 || request.again;
    if (!sent) recorder_.attempted(slot, request.request->class_index, now_ns);
    recorder_.failed(request.request->class_index, sent ? request.times.sent_ns : now_ns, error, now_ns);
  }
  if (connection.in_flight == 0) recorder_.failed(0, now_ns, error, now_ns);
  // An open connection without a request belongs to a slot that is parked, waits, or has ended: nothing to start again.
  const bool was_idle = begun_ && connection.in_flight == 0 && connection.state == State::open;
  const bool served = connection.served;
  const std::uint32_t unanswered = connection.in_flight;
  connection.in_flight = connection.unsent = 0;
  close_connection(slot, now_ns);
  if (was_idle) return;
  model_.failed(slot, unanswered, now_ns);
  if (served) return wake_at(slot, now_ns);
  const std::int64_t backoff_ns = first_backoff_ns << connection.failures;
  if (connection.failures < most_backoffs) ++connection.failures;
  if (is_of_server(error)) recorder_.held_back(now_ns, now_ns + backoff_ns);
  wake_at(slot, now_ns + backoff_ns);
}

void Client::close_connection(std::uint32_t slot, std::int64_t now_ns) {
  Connection& connection = connections_[slot];
  if (connection.state == State::connecting) {
    --connecting_;
    last_progress_ns_ = now_ns;
  }
  if (connection.served) recorder_.connection_ended(connection.opening_ns, now_ns);
  if (connection.fd >= 0) {
    close(connection.fd);
    --sockets_;
  }
  connection.fd = -1;
  connection.state = State::closed;
  connection.served = connection.reading_later = connection.ended = false;
  connection.may_read_ns = 0;
  connection.unsent_text.reset();
  ++connection.generation;
  timeouts_.clear(static_cast<int>(slot));
}

void Client::publish() {
  const auto add = [](std::atomic<std::uint64_t>& sum, std::uint64_t& published, std::uint64_t value) {
    if (value == published) return;
    sum.fetch_add(value - published, std::memory_order_relaxed);
    published = value;
  };
  add(phases_.replies, published_replies_, recorder_.replies());
  add(phases_.received_bytes, published_bytes_, recorder_.received_bytes());
  add(phases_.errors, published_errors_, recorder_.errors());
}

// Adds what this thread has used so far in user and in kernel mode, or with -1 takes it off.
void Client::account(int sign) {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  const auto seconds = [&](const timeval& time) {
    return sign * (static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6);
  };
  user_s_ += seconds(used.ru_utime);
  system_s_ += seconds(used.ru_stime);
}

// The window is over: requests in flight are counted, and nothing more is sent.
void Client::finish() {
  if (measuring_) {
    cpu_s_ = thread_cpu_s() - cpu_at_start_s_;
    account(1);
    spin_s_ = static_cast<double>(spin_ns_ - spin_at_start_ns_) * 1e-9;
  }
  for (std::uint32_t slot = 0; slot < options_.connections; ++slot) {
    const Connection& connection = connections_[slot];
    if (connection.served) recorder_.connection_ended(connection.opening_ns, recorder_.end_ns());
    for (std::uint32_t i = 0; i < connection.in_flight; ++i)
      if (const InFlight& request = in_flight(slot, i); connection.unsent == 0 || request.again)
        recorder_.unfinished(request.times.sent_ns);
  }
  // Arrivals that were due and found no free connection.
  while (recorder_.own_schedule() && model_.next_due_ns() < recorder_.end_ns()) {
    const std::int64_t due_ns = model_.next_due_ns();
    recorder_.offered(due_ns);
    recorder_.found_no_connection(due_ns);
    model_.skip();
  }
  while (options_.waiting != nullptr) {
    const auto waited_ns = options_.waiting->take();
    if (!waited_ns) break;
    recorder_.offered(*waited_ns);
    recorder_.found_no_connection(*waited_ns);
  }
  publish();
}

}  // namespace bakeoff
