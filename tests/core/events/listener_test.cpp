#include "core/events/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

Listener::Settings any_port() { return {}; }

struct Socket {
  explicit Socket(int its_fd) : fd(its_fd) {}
  ~Socket() {
    if (fd >= 0) ::close(fd);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd;
};

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

int number_of(int fd, int level, int name) {
  int value = -1;
  socklen_t bytes = sizeof value;
  REQUIRE(::getsockopt(fd, level, name, &value, &bytes) == 0);
  return value;
}

std::int64_t timeout_ms_of(int fd, int name) {
  timeval value{};
  socklen_t bytes = sizeof value;
  REQUIRE(::getsockopt(fd, SOL_SOCKET, name, &value, &bytes) == 0);
  return value.tv_sec * 1000 + value.tv_usec / 1000;
}

template <class Error>
std::string refusal(const Listener::Settings& settings) {
  try {
    const Listener listener(settings);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("a listener accepts who has connected, and says when nobody has") {
  const Listener listener(any_port());
  REQUIRE(listener.port() != 0);
  CHECK(listener.accept().outcome == Listener::Outcome::none);
  const Socket one(connect_to(listener.port()));
  const Socket two(connect_to(listener.port()));
  for (int i = 0; i < 2; ++i) {
    const auto [outcome, fd] = listener.accept();
    REQUIRE(outcome == Listener::Outcome::accepted);
    const Socket accepted(fd);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK(number_of(fd, IPPROTO_TCP, TCP_NODELAY) == 1);
  }
  CHECK(listener.accept().outcome == Listener::Outcome::none);
}

TEST_CASE("workers that listen apart share a port, and nobody else gets it") {
  Listener::Settings settings = any_port();
  settings.reuseport = true;
  const std::vector<Listener> listeners = Listener::open_all(settings, 4);
  REQUIRE(listeners.size() == 4);
  std::vector<std::unique_ptr<Socket>> clients;
  for (const Listener& listener : listeners) CHECK(listener.port() == listeners[0].port());
  constexpr int connections = 64;
  for (int i = 0; i < connections; ++i) clients.push_back(std::make_unique<Socket>(connect_to(listeners[0].port())));
  int accepted = 0, used = 0;
  for (const Listener& listener : listeners) {
    int here = 0;
    for (;;) {
      const auto [outcome, fd] = listener.accept();
      if (outcome != Listener::Outcome::accepted) break;
      const Socket connection(fd);
      ++here;
    }
    accepted += here;
    used += here > 0;
  }
  CHECK(accepted == connections);
  CHECK(used >= 2);  // the kernel spreads them by their addresses: all at one socket is 4 to the power of -63
  Listener::Settings taken = settings;
  taken.port = listeners[0].port();
  CHECK_THROWS_AS(Listener::open_all(taken, 4), StartError);
}

TEST_CASE("a connection inherits what was chosen for it") {
  Listener::Settings settings = any_port();
  settings.send_buffer_bytes = 20'000;
  settings.congestion = "reno";  // every kernel has it
  settings.connections_block = true;
  settings.tick_ms = 250;
  const Listener listener(settings);
  const Socket client(connect_to(listener.port()));
  const Socket accepted(listener.accept().fd);
  REQUIRE(accepted.fd >= 0);
  CHECK((::fcntl(accepted.fd, F_GETFL) & O_NONBLOCK) == 0);
  CHECK(number_of(accepted.fd, SOL_SOCKET, SO_SNDBUF) == 40'000);  // the kernel doubles it
  std::string congestion(16, '\0');
  socklen_t bytes = 16;
  REQUIRE(::getsockopt(accepted.fd, IPPROTO_TCP, TCP_CONGESTION, congestion.data(), &bytes) == 0);
  CHECK(std::string(congestion.c_str()) == "reno");
  // Calls return often enough for somebody to look at the deadline.
  for (const int name : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    CHECK(timeout_ms_of(accepted.fd, name) > 0);
    CHECK(timeout_ms_of(accepted.fd, name) <= 300);
  }
}

TEST_CASE("deferred accepting is set when it is asked for") {
  Listener::Settings settings = any_port();
  CHECK(number_of(Listener(settings).fd(), IPPROTO_TCP, TCP_DEFER_ACCEPT) == 0);
  settings.defer_accept_s = 15;
  CHECK(number_of(Listener(settings).fd(), IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
}

TEST_CASE("a listener whose worker waits in the call blocks, yet not for ever") {
  Listener::Settings settings = any_port();
  settings.connections_block = true;
  settings.accept_blocks = true;
  settings.tick_ms = 20;
  const Listener listener(settings);
  CHECK((::fcntl(listener.fd(), F_GETFL) & O_NONBLOCK) == 0);
  CHECK(listener.accept().outcome == Listener::Outcome::none);
}

TEST_CASE("a listener knows whether it listens at every address") {
  const auto listens_everywhere = [](const char* address) {
    Listener::Settings settings = any_port();
    settings.address = address;
    const Listener opened(settings);
    Listener moved = Listener(settings);
    CHECK(moved.is_at_every_address() == opened.is_at_every_address());
    return opened.is_at_every_address();
  };
  CHECK_FALSE(listens_everywhere("127.0.0.1"));
  CHECK(listens_everywhere("0.0.0.0"));
  const Socket ipv6(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (ipv6.fd < 0) return;  // a kernel without IPv6
  CHECK(listens_everywhere("::"));
  CHECK(listens_everywhere("::ffff:0.0.0.0"));
  CHECK_FALSE(listens_everywhere("::ffff:127.0.0.1"));
}

TEST_CASE("running out of descriptors is told from having nobody to accept") {
  const Listener listener(any_port());
  const Socket client(connect_to(listener.port()));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const Listener::Accepted refused = listener.accept();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(refused.outcome == Listener::Outcome::exhausted);
  const Socket accepted(listener.accept().fd);  // it waited
  CHECK(accepted.fd >= 0);
}

TEST_CASE("a socket that cannot accept any more is an error, not a client that has left") {
  const Listener listener(any_port());
  const Socket not_listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  REQUIRE(::dup2(not_listening.fd, listener.fd()) == listener.fd());
  CHECK_THROWS_AS(listener.accept(), StartError);  // EINVAL
  ::close(listener.fd());
  CHECK_THROWS_AS(listener.accept(), StartError);                     // EBADF
  REQUIRE(::dup2(not_listening.fd, listener.fd()) == listener.fd());  // for the destructor to close
}

TEST_CASE("an address that cannot be listened on is refused with its cause") {
  Listener::Settings settings = any_port();
  SECTION("no address") {
    for (const char* address : {"localhost", "", "127.0.0.1.1", "[::1]", "::1%lo0x"}) {
      settings.address = address;
      CHECK(refusal<UsageError>(settings).find("is not an IP address") != std::string::npos);
    }
  }
  SECTION("not of this machine") {
    settings.address = "192.0.2.1";  // for documentation (RFC 5737)
    CHECK(refusal<StartError>(settings).find("192.0.2.1 port 0 cannot be listened on") != std::string::npos);
  }
  SECTION("in use") {
    const Listener first(settings);
    settings.port = first.port();
    CHECK(refusal<StartError>(settings).find("is in use; choose another with --port") != std::string::npos);
  }
  SECTION("congestion control that the kernel lacks") {
    settings.congestion = "none-such";
    CHECK(refusal<UsageError>(settings).find("--congestion=none-such is not available here") != std::string::npos);
  }
}
