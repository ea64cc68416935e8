// bakeoff-ceiling: the least that a server on this machine can spend on a request. One read, one write, epoll, and a
// reply that was made at the start; nothing is parsed. Every report compares real servers with it.
//
// It takes each read for one request, so a client must not pipeline, and requests must fit one segment.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/program_options.hpp>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/errors.h"
#include "core/base/signals.h"
#include "core/base/untrusted.h"
#include "core/base/version.h"
namespace {

constexpr std::int64_t most_body_bytes = 1 << 30;

struct Options {
  std::string address = "127.0.0.1";
  // Signed: Boost would take "-1" for the largest number of an unsigned type.
  std::int32_t port = 0;
  std::int64_t body_bytes = 1024;
  std::string congestion = "cubic";
  std::string poller = "epoll";
};

struct Counts {
  std::uint64_t connections = 0;
  std::uint64_t replies = 0;
  std::uint64_t sent_bytes = 0;
};

struct CannotStart : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void cannot(const std::string& what) { throw CannotStart(what + ": " + std::strerror(errno)); }

// Whoever started this program waits for what it says.
void say(const nlohmann::ordered_json& line) {
  errno = 0;
  std::cout << line.dump() << std::endl;
  if (!std::cout) cannot("cannot write to standard output");
}

// A head of the length that a real server sends.
std::string canned_reply(std::size_t body_bytes) {
  std::string reply =
      "HTTP/1.1 200 OK\r\nServer: bakeoff-ceiling\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
      "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/html\r\nContent-Length: " +
      std::to_string(body_bytes) + "\r\n\r\n";
  reply.append(body_bytes, 'x');
  return reply;
}

int listen_on(const Options& options, std::uint16_t& port) {
  sockaddr_storage storage{};
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (inet_pton(AF_INET, options.address.c_str(), &ipv4->sin_addr) == 1) {
    storage.ss_family = AF_INET;
    ipv4->sin_port = htons(static_cast<std::uint16_t>(options.port));
  } else if (inet_pton(AF_INET6, options.address.c_str(), &ipv6->sin6_addr) == 1) {
    storage.ss_family = AF_INET6;
    ipv6->sin6_port = htons(static_cast<std::uint16_t>(options.port));
  } else {
    throw CannotStart("not an IP address: " + options.address);
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) cannot("socket");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // inherited by what is accepted
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, options.congestion.data(),
                 static_cast<socklen_t>(options.congestion.size())) != 0)
    cannot("congestion control " + options.congestion);
  socklen_t length = storage.ss_family == AF_INET ? sizeof *ipv4 : sizeof *ipv6;
  if (bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0)
    cannot("bind " + options.address + ":" + std::to_string(options.port));
  if (listen(fd, 65535) != 0) cannot("listen");
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) cannot("getsockname");
  port = ntohs(storage.ss_family == AF_INET ? ipv4->sin_port : ipv6->sin6_port);
  return fd;
}

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

class Ceiling {
 public:
  Ceiling(int listener, int signals, const std::string& reply) : listener_(listener), signals_(signals), reply_(reply) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) cannot("epoll_create1");
    take_spare();
    watch(listener_, EPOLLIN);
    watch(signals_, EPOLLIN);
  }

  // Until a signal asks to stop.
  Counts serve() {
    std::array<epoll_event, 512> events;
    for (;;) {
      const int ready = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < ready; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == listener_) {
          accept_all();
        } else if (fd == signals_) {
          return counts_;
        } else if (unsent_[static_cast<std::size_t>(fd)] != 0) {
          send_rest(fd, unsent_[static_cast<std::size_t>(fd)]);
        } else {
          answer(fd);
        }
      }
    }
  }

 private:
  void watch(int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) cannot("epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno != EMFILE && errno != ENFILE) return;
        if (!refuse_one()) return;
        continue;
      }
      if (unsent_.size() <= static_cast<std::size_t>(fd)) unsent_.resize(static_cast<std::size_t>(fd) * 2 + 64);
      unsent_[static_cast<std::size_t>(fd)] = 0;
      ++counts_.connections;
      // Edge-triggered for both directions: one epoll_ctl in a connection's life.
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLET);
    }
  }

  // Out of descriptors: closes further connections, or the listener would stay readable and the loop would spin. A
  // descriptor is reserved for that from the beginning. False when no connection waits.
  bool refuse_one() {
    close(spare_);
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    take_spare();
    return fd >= 0;
  }
  void take_spare() {
    spare_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (spare_ < 0) cannot("open /dev/null");
  }

  void answer(int fd) {
    const ssize_t got = recv(fd, request_.data(), request_.size(), 0);
    if (got > 0) {
      send_rest(fd, reply_.size());
    } else if (got == 0 || errno != EAGAIN) {
      close(fd);
    }
  }

  void send_rest(int fd, std::size_t rest) {
    const ssize_t sent = send(fd, reply_.data() + (reply_.size() - rest), rest, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
      unsent_[static_cast<std::size_t>(fd)] = 0;
      close(fd);
      return;
    }
    if (sent > 0) {
      rest -= static_cast<std::size_t>(sent);
      counts_.sent_bytes += static_cast<std::uint64_t>(sent);
    }
    unsent_[static_cast<std::size_t>(fd)] = rest;
    if (rest == 0) ++counts_.replies;
  }

  int listener_, signals_, epoll_ = -1, spare_ = -1;
  const std::string& reply_;
  std::vector<std::size_t> unsent_;  // by descriptor: bytes of the reply that the socket did not take yet
  std::array<char, 4096> request_{};
  Counts counts_;
};

double cpu_s() {
  timespec spent{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) * 1e-9;
}

void run(const Options& options) {
  raise_descriptor_limit();
  const sigset_t stops = bakeoff::heeded({SIGTERM, SIGINT, SIGHUP});
  sigprocmask(SIG_BLOCK, &stops, nullptr);
  const int signals = signalfd(-1, &stops, SFD_CLOEXEC);
  if (signals < 0) cannot("signalfd");

  std::uint16_t port = 0;
  const std::string reply = canned_reply(static_cast<std::size_t>(options.body_bytes));
  Ceiling ceiling(listen_on(options, port), signals, reply);
  say({{"event", "ready"},
       {"server", "ceiling"},
       {"pid", getpid()},
       {"address", options.address},
       {"port", port},
       {"workers", 1},
       {"options", {{"poller", "epoll"}, {"body_bytes", options.body_bytes}, {"congestion", options.congestion}}}});
  const double start_s = cpu_s();
  const Counts counts = ceiling.serve();
  say({{"event", "statistics"},
       {"total",
        {{"connections", counts.connections},
         {"replies", counts.replies},
         {"sent_bytes", counts.sent_bytes},
         {"cpu_s", cpu_s() - start_s}}}});
}

}  // namespace

int main(int argc, char** argv) {
  namespace po = boost::program_options;
  bakeoff::make_new_throw_out_of_memory();
  Options options;
  po::options_description description("bakeoff-ceiling: answers everything that arrives with one canned reply");
  description.add_options()("help,h", "this text")                                                               //
      ("address", po::value(&options.address)->default_value(options.address), "IP address to listen on")        //
      ("port", po::value(&options.port)->default_value(options.port), "0: any free one")                         //
      ("body-bytes", po::value(&options.body_bytes)->default_value(options.body_bytes), "of each reply's body")  //
      ("poller", po::value(&options.poller)->default_value(options.poller), "epoll, the only one")               //
      ("congestion", po::value(&options.congestion)->default_value(options.congestion), "TCP congestion control");
  try {
    if (bakeoff::answered_version(argc, argv, "bakeoff-ceiling")) return 0;
    po::variables_map given;
    po::store(po::parse_command_line(argc, argv, description), given);
    po::notify(given);
    if (given.count("help") != 0) {
      errno = 0;
      std::cout << description << std::flush;
      if (!std::cout) cannot("cannot write to standard output");
      return 0;
    }
    if (options.port < 0 || options.port > 65'535) throw po::error("--port: expected a number from 0 to 65535");
    if (options.body_bytes < 0 || options.body_bytes > most_body_bytes)
      throw po::error("--body-bytes: expected a number from 0 to " + std::to_string(most_body_bytes));
    if (options.poller != "epoll")
      throw po::error("--poller " + options.poller + " is not there; the ceiling has only epoll");
    run(options);
    return 0;
  } catch (const po::error& error) {
    std::cerr << "bakeoff-ceiling: " << bakeoff::visible(error.what(), "\n\t") << "; see --help\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "bakeoff-ceiling: " << bakeoff::visible(error.what(), "\n\t") << "\n";
    return 4;
  }
}
