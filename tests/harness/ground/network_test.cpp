#include "harness/ground/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

namespace {

class Socket {
 public:
  explicit Socket(int family = AF_INET) : fd_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) { REQUIRE(fd_ >= 0); }
  explicit Socket(const Socket& listener, int) : fd_(::accept(listener.fd_, nullptr, nullptr)) { REQUIRE(fd_ >= 0); }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool listen(std::uint16_t port) const {
    const sockaddr_in address = at(port);
    return ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(fd_, 8) == 0;
  }
  bool connect(std::uint16_t port) const {
    const sockaddr_in address = at(port);
    return ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  std::uint16_t port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    return ntohs(address.sin_port);
  }
  int segment_bytes() const {
    int value = 0;
    socklen_t size = sizeof value;
    REQUIRE(::getsockopt(fd_, IPPROTO_TCP, TCP_MAXSEG, &value, &size) == 0);
    return value;
  }
  int fd() const { return fd_; }

 private:
  static sockaddr_in at(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  int fd_;
};

// Connections in TIME_WAIT in the calling thread's network.
int waiting() {
  std::ifstream in("/proc/thread-self/net/sockstat");
  for (std::string word; in >> word;) {
    int value = 0;
    if (word == "tw" && in >> value) return value;
  }
  return -1;
}

std::string somaxconn() {
  std::ifstream in("/proc/sys/net/core/somaxconn");
  std::string value;
  in >> value;
  return value;
}

bool cannot() {
  if (Network::obstacle().empty()) return false;
  WARN("skipped: " << Network::obstacle());
  return true;
}

void leave_one_waiting() {
  const Socket listener;
  REQUIRE(listener.listen(0));
  const Socket client;
  REQUIRE(client.connect(listener.port()));
  const Socket server(listener, 0);
  ::shutdown(server.fd(), SHUT_WR);  // who closes first waits
  char byte;
  REQUIRE(::read(client.fd(), &byte, 1) == 0);
}

}  // namespace

TEST_CASE("a network of the run's own has nothing of others, and nobody outside reaches into it") {
  if (cannot()) return;
  const Socket outside;
  REQUIRE(outside.listen(0));
  const std::uint16_t port = outside.port();
  const std::string backlog = somaxconn();
  const Network network(NetworkSpec{});
  std::uint16_t inner_port = 0;
  std::optional<Socket> listener;
  {
    const Network::Inside inside(&network);
    CHECK_FALSE(Socket().connect(port));  // the one outside
    listener.emplace();
    CHECK(listener->listen(port));  // the same port is free here
    CHECK(Socket().connect(port));
    CHECK(somaxconn() == backlog);
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_addr = in6addr_loopback;
    const Socket listens(AF_INET6);
    CHECK(::bind(listens.fd(), reinterpret_cast<const sockaddr*>(&six), sizeof six) == 0);
    Socket other;
    REQUIRE(other.listen(0));
    inner_port = other.port();
    const Network::Inside nothing(nullptr);
    CHECK(Socket().connect(port));
  }
  CHECK(Socket().connect(port));  // outside again: the first listener
  CHECK_FALSE(Socket().connect(inner_port));
}

TEST_CASE("what one trial leaves in TIME_WAIT is not there in the next") {
  if (cannot()) return;
  for (int trial = 0; trial < 2; ++trial) {
    const Network network(NetworkSpec{});
    const Network::Inside inside(&network);
    CHECK(waiting() == 0);
    leave_one_waiting();
    CHECK(waiting() == 1);
  }
}

TEST_CASE("MTU and offloads are as asked for, and a socket sees them") {
  if (cannot()) return;
  NetworkSpec settings;
  settings.mtu = 1500;
  settings.offloads = false;
  const Network network(settings);
  const Network::Inside inside(&network);
  const nlohmann::json described = describe_network();
  CHECK(described.at("mtu") == 1500);
  for (const char* name : {"tso", "gso", "gro"}) CHECK(described.at("offloads").at(name) == false);
  const Socket listener;
  REQUIRE(listener.listen(0));
  const Socket client;
  REQUIRE(client.connect(listener.port()));
  CHECK(client.segment_bytes() <= 1460);
  CHECK(client.segment_bytes() >= 1400);
}

TEST_CASE("who is not root has one by a user namespace, where there are such") {
  if (cannot() || ::geteuid() != 0) return;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    constexpr uid_t nobody = 65534;
    if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(2);
    // Else /proc/self stays root's, as it does not after exec.
    if (::prctl(PR_SET_DUMPABLE, 1) != 0) ::_exit(2);
    try {
      std::optional<Network> first(std::in_place, NetworkSpec{}), second(std::in_place, NetworkSpec{});
      for (const Network* network : {&*first, &*second}) {
        const Network::Inside inside(network);
        if (waiting() != 0) ::_exit(3);
        leave_one_waiting();
      }
      ::_exit(::geteuid() == nobody ? 0 : 4);
    } catch (const StartError& error) {
      ::_exit(std::strstr(error.what(), "user namespace") != nullptr ? 1 : 5);
    }
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 1) WARN("skipped: this kernel gives no user namespaces to those who are not root");
  CHECK(WEXITSTATUS(status) <= 1);
}
