// bakeoff-minimal-client: the least that a client on this machine can spend on a request. A closed loop over keep-alive
// connections: one send, one recv and a share of an epoll_wait. It reads only the first reply's length. It has no
// time-outs and no latencies, and any error ends the run. The cost of bakeoff-load is measured against it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/program_options.hpp>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/base/version.h"
namespace {

struct Options {
  std::string address = "127.0.0.1";
  // Signed: Boost would take "-1" for the largest number of an unsigned type.
  std::int32_t port = 0;
  std::string path = "/";
  std::int32_t connections = 64;
  double duration_s = 1;
  double warmup_s = 0.2;
};

struct CannotRun : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void cannot(const std::string& what) { throw CannotRun(what + ": " + std::strerror(errno)); }

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

int connect_to(const Options& options) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) cannot("socket");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(options.port));
  if (inet_pton(AF_INET, options.address.c_str(), &address.sin_addr) != 1)
    throw CannotRun("not an IPv4 address: " + options.address);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) cannot("connect");
  return fd;
}

void ask(int fd, const std::string& request) {
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) cannot("send");
}

// The length of a whole reply, head and body: all replies of a run are taken to be as long. BLOCKS: network.
std::size_t measure_reply(int fd, const std::string& request) {
  ask(fd, request);
  std::string reply;
  std::array<char, 65536> buffer;
  for (std::size_t whole = SIZE_MAX; reply.size() < whole;) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) throw CannotRun("the server closed before its first reply was there");
    reply.append(buffer.data(), static_cast<std::size_t>(got));
    const std::size_t end = reply.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    const std::string field = "\r\nContent-Length: ";
    const std::size_t at = reply.find(field);
    std::size_t body = 0;
    if (at > end || std::from_chars(reply.data() + at + field.size(), reply.data() + end, body).ec != std::errc{})
      throw CannotRun("the server's first reply has no Content-Length");
    whole = end + 4 + body;
  }
  return reply.size();
}

void run(const Options& options) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const std::string request = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.address + "\r\n\r\n";
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) cannot("epoll_create1");
  std::size_t reply_bytes = 0;
  std::vector<std::size_t> missing;  // by descriptor: bytes of the reply that have not come yet
  for (std::int32_t i = 0; i < options.connections; ++i) {
    const int fd = connect_to(options);
    if (i == 0) reply_bytes = measure_reply(fd, request);
    if (missing.size() <= static_cast<std::size_t>(fd)) missing.resize(static_cast<std::size_t>(fd) + 1);
    missing[static_cast<std::size_t>(fd)] = reply_bytes;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.fd = fd;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) cannot("epoll_ctl");
  }
  for (int fd = 0; fd < static_cast<int>(missing.size()); ++fd)
    if (missing[static_cast<std::size_t>(fd)] != 0) ask(fd, request);

  std::array<epoll_event, 512> events;
  std::array<char, 65536> buffer;
  const double start_s = seconds_of(CLOCK_MONOTONIC) + options.warmup_s, end_s = start_s + options.duration_s;
  double cpu_s = 0;
  std::uint64_t replies = 0;
  for (bool measuring = false;;) {
    const int ready = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 100);
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      std::size_t& rest = missing[static_cast<std::size_t>(fd)];
      for (ssize_t got = static_cast<ssize_t>(buffer.size()); got == static_cast<ssize_t>(buffer.size());) {
        got = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) throw CannotRun("the server closed a connection");
        if (got < 0) break;
        if (static_cast<std::size_t>(got) > rest) throw CannotRun("a reply was longer than the first one");
        rest -= static_cast<std::size_t>(got);
        if (rest != 0) continue;
        rest = reply_bytes;
        ++replies;
        ask(fd, request);
        break;
      }
    }
    const double now_s = seconds_of(CLOCK_MONOTONIC);
    if (!measuring && now_s >= start_s) {
      measuring = true;
      replies = 0;
      cpu_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    }
    if (now_s < end_s) continue;
    cpu_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
    std::cout << nlohmann::ordered_json{{"replies", replies},
                                        {"duration_s", now_s - start_s},
                                        {"client", {{"cpu_s", cpu_s}}}}
                     .dump()
              << std::endl;
    if (!std::cout) cannot("cannot write to standard output");
    return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  namespace po = boost::program_options;
  bakeoff::make_new_throw_out_of_memory();
  Options options;
  po::options_description description("bakeoff-minimal-client: a closed loop that looks at nothing");
  description.add_options()("help,h", "this text")                                                               //
      ("address", po::value(&options.address)->default_value(options.address), "IPv4 address of the server")     //
      ("port", po::value(&options.port)->required(), "of the server")                                            //
      ("path", po::value(&options.path)->default_value(options.path), "what to ask for")                         //
      ("connections", po::value(&options.connections)->default_value(options.connections), "at once")            //
      ("duration", po::value(&options.duration_s)->default_value(options.duration_s), "measured time, seconds")  //
      ("warmup", po::value(&options.warmup_s)->default_value(options.warmup_s), "before it, seconds");
  try {
    if (bakeoff::answered_version(argc, argv, "bakeoff-minimal-client")) return 0;
    po::variables_map given;
    po::store(po::parse_command_line(argc, argv, description), given);
    if (given.count("help") != 0) {
      std::cout << description << std::flush;
      if (!std::cout) cannot("cannot write to standard output");
      return 0;
    }
    po::notify(given);
    if (options.port < 1 || options.port > 65'535) throw po::error("--port: expected a number from 1 to 65535");
    if (options.connections < 1) throw po::error("--connections: expected at least 1");
    if (!(options.duration_s > 0 && options.warmup_s >= 0))
      throw po::error("--duration, --warmup: expected seconds, the duration more than 0");
    run(options);
    return 0;
  } catch (const po::error& error) {
    std::cerr << "bakeoff-minimal-client: " << bakeoff::visible(error.what(), "\n\t") << "; see --help\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "bakeoff-minimal-client: " << bakeoff::visible(error.what(), "\n\t") << "\n";
    return 4;
  }
}
