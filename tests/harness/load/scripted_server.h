// A server that sends what a test wants, right or wrong: a process in which a thread per connection runs the script. It
// is a process of its own, because the load generator forks: locks that another thread held at that moment (for example
// the sanitizers' allocator) would stay locked in the child.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <thread>

namespace bakeoff {

// One connection, blocking, seen from the server.
class Conversation {
 public:
  Conversation(int fd, std::atomic<int>& requests) : fd_(fd), requests_(requests) {}
  ~Conversation() { close(fd_); }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  // The next request's head; empty when the client closed. BLOCKS: network.
  std::string request() {
    for (;;) {
      if (const std::size_t end = received_.find("\r\n\r\n"); end != std::string::npos) {
        const std::string head = received_.substr(0, end + 4);
        received_.erase(0, end + 4);
        ++requests_;
        return head;
      }
      char buffer[4096];
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) return {};
      received_.append(buffer, static_cast<std::size_t>(got));
    }
  }
  // The next bytes, of a request's body; fewer when the client closed. BLOCKS: network.
  std::string body(std::size_t bytes) {
    char buffer[4096];
    while (received_.size() < bytes) {
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      received_.append(buffer, static_cast<std::size_t>(got));
    }
    const std::string taken = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return taken;
  }
  bool say(std::string_view text) {
    return send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  void reset() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  // Until the client closes. BLOCKS: network.
  void wait_for_end() {
    char buffer[4096];
    while (recv(fd_, buffer, sizeof buffer, 0) > 0) {
    }
  }
  int fd() const { return fd_; }

 private:
  int fd_;
  std::atomic<int>& requests_;
  std::string received_;
};

inline std::string path_of(const std::string& request) {
  const std::size_t start = request.find(' ') + 1;
  return request.substr(start, request.find(' ', start) - start);
}

inline std::string reply_with(std::string_view body, std::string_view fields = "") {
  return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

class ScriptedServer {
 public:
  using Script = std::function<void(Conversation&)>;
  // Goes away by itself lifetime_ms after the first connection came; -1: it lives as long as this object.
  explicit ScriptedServer(const Script& script, int lifetime_ms = -1) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    void* memory = mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 1000) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0 || memory == MAP_FAILED)
      std::abort();
    port_ = ntohs(address.sin_port);
    counts_ = new (memory) Counts;
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      accept_all(listener, script, lifetime_ms, *counts_);
    }
    close(listener);
    if (pid_ < 0) std::abort();
  }
  ~ScriptedServer() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    munmap(counts_, sizeof(Counts));
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string url(std::string_view path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }
  int connections() const { return counts_->connections; }
  int requests() const { return counts_->requests; }
  int ended() const { return counts_->ended; }  // conversations

 private:
  struct Counts {  // shared with the server's process
    std::atomic<int> connections{0};
    std::atomic<int> requests{0};
    std::atomic<int> ended{0};
  };

  [[noreturn]] static void accept_all(int listener, const Script& script, int lifetime_ms, Counts& counts) {
    for (;;) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) _exit(1);
      if (++counts.connections == 1 && lifetime_ms >= 0) {
        std::thread([lifetime_ms] {
          poll(nullptr, 0, lifetime_ms);
          kill(getpid(), SIGKILL);
        }).detach();
      }
      std::thread([&script, &counts, fd] {
        Conversation conversation(fd, counts.requests);
        script(conversation);
        ++counts.ended;
      }).detach();
    }
  }

  std::uint16_t port_ = 0;
  Counts* counts_ = nullptr;
  pid_t pid_ = -1;
};

// Answers every request.
inline void polite(Conversation& talk) {
  while (!talk.request().empty()) talk.say(reply_with("hello"));
}

}  // namespace bakeoff
