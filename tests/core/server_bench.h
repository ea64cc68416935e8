// A server that nobody runs: the tests call its pieces themselves, with a clock that stands until they move it.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/connection.h"
#include "core/server.h"
#include "tests/support/reply.h"
#include "tests/support/temp_dir.h"

namespace bakeoff::test {

class FakeClock final : public Clock {
 public:
  FakeClock() {
    now_ms_ = 1'000'000;
    unix_s_ = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT
  }
  void refresh() override { now_ms_ += per_refresh_ms; }
  void pass(std::int64_t ms) { now_ms_ += ms; }

  std::int64_t per_refresh_ms = 0;
};

inline std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

// A Server blocks the signals that end it; the tests' own process is to go on listening to them.
class SignalMask {
 public:
  SignalMask() { sigprocmask(SIG_BLOCK, nullptr, &before_); }
  ~SignalMask() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  SignalMask(const SignalMask&) = delete;
  SignalMask& operator=(const SignalMask&) = delete;

 private:
  sigset_t before_{};
};

inline Options bench_options() {
  Options options;
  options.port = 0;
  options.descriptors = 1024;
  options.auto_limit_bytes = 1000;
  return options;
}

struct Bench {
  explicit Bench(Options its_options = bench_options(), Sharing sharing = Sharing::nobody,
                 Waiting waiting = Waiting::by_readiness)
      : architecture{.name = "bench", .paper = "none", .workers_are = "none", .waiting = waiting},
        options([&] {
          its_options.root = directory.path().string();
          return its_options;
        }()),
        server(options, architecture, sharing),
        worker(server, 0, stats, std::make_unique<FakeClock>()),
        clock(static_cast<FakeClock&>(worker.clock)) {}

  std::string write(const std::string& name, std::size_t bytes) const {
    std::string content = test_content(name, bytes);
    directory.write(name.substr(1), content);
    return content;
  }

  SignalMask mask;
  Architecture architecture;
  TempDir directory;
  Options options;
  Server server;
  WorkerStats stats;
  Worker worker;
  FakeClock& clock;
};

// A connection and its client's end, both in the test's hands.
class Line {
 public:
  // send_buffer_bytes: of the server's side; 0 leaves it to the kernel.
  explicit Line(Bench& its_bench, int send_buffer_bytes = 0) : bench_(its_bench) {
    int ends[2];
    const bool blocking = bench_.options.send == Sending::blocking;
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("no socket pair");
    client_ = ends[0];
    if (send_buffer_bytes > 0)
      ::setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes, sizeof send_buffer_bytes);
    if (!blocking) ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    connection_ = std::make_unique<Connection>(ends[1], bench_.worker);
  }
  ~Line() {
    connection_.reset();
    hang_up();
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  Connection& connection() { return *connection_; }
  void end_connection() { connection_.reset(); }
  void say(std::string_view bytes) {
    if (::send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("the socket pair does not take the request");
  }
  void end_sending() { ::shutdown(client_, SHUT_WR); }
  void hang_up() {
    if (client_ >= 0) ::close(client_);
    client_ = -1;
  }

  // Takes what has come for the client, up to `most` bytes; whether there was anything.
  bool take(std::size_t most = std::size_t{1} << 30) {
    bool any = false;
    char piece[4096];
    while (most > 0) {
      const ssize_t got = ::recv(client_, piece, std::min(most, sizeof piece), MSG_DONTWAIT);
      if (got == 0) ended_ = true;
      if (got <= 0) break;
      heard_.append(piece, static_cast<std::size_t>(got));
      most -= static_cast<std::size_t>(got);
      any = true;
    }
    return any;
  }
  // All that came and was not yet read as a reply.
  std::string& heard() {
    take();
    return heard_;
  }
  bool ended() {
    take();
    return ended_;
  }

  // Advances as an event loop would, until the connection waits for the client or is over; the client takes what comes.
  Want run() {
    for (int steps = 0; steps < 1'000'000; ++steps) {
      const Want want = connection_->advance(bench_.worker);
      const bool took = take();
      pollfd waiting = {connection_->fd(), POLLIN, 0};
      const bool goes_on = want == Want::disk || (want == Want::writable && took) ||
                           (want == Want::readable && ::poll(&waiting, 1, 0) == 1);
      if (!goes_on) return want;
    }
    throw std::runtime_error("the connection never comes to rest");
  }

  // The next reply that has come as a whole. Throws when it has not.
  Reply reply(bool to_head = false) {
    take();
    std::optional<Reply> taken = take_reply(heard_, to_head, ended_);
    if (!taken) throw std::runtime_error("no whole reply came");
    return *taken;
  }
  Reply ask(std::string_view request, bool to_head = false) {
    say(request);
    run();
    return reply(to_head);
  }

 private:
  Bench& bench_;
  int client_ = -1;
  std::unique_ptr<Connection> connection_;
  std::string heard_;
  bool ended_ = false;
};

inline std::string get(std::string_view target, std::string_view more_headers = "", std::string_view method = "GET") {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n" + std::string(more_headers) +
         "\r\n";
}

}  // namespace bakeoff::test
