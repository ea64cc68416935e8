#include "tests/support/client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace bakeoff::test {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

// Whether fd is ready for `events` before end_ms.
bool wait_for(int fd, short events, std::int64_t end_ms) {
  for (;;) {
    pollfd entry{fd, events, 0};
    const std::int64_t left = end_ms - now_ms();
    const int ready = poll(&entry, 1, left > 0 ? static_cast<int>(left) : 0);
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) fail("poll");
  }
}

}  // namespace

Client::Client(int port, int receive_buffer_bytes) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) fail("socket");
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (receive_buffer_bytes > 0)
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int error = 0;
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    error = errno;
    if (error == EINPROGRESS) {
      error = ETIMEDOUT;
      socklen_t size = sizeof error;
      if (wait_for(fd_, POLLOUT, now_ms() + patience_ms)) getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    }
  }
  if (error != 0) {
    ::close(fd_);
    throw std::system_error(error, std::generic_category(), "connect");
  }
}

Client::~Client() { close(); }

Client::Client(Client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), pending_(std::move(other.pending_)), closed_(other.closed_) {}

Client& Client::operator=(Client&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(pending_, other.pending_);
  std::swap(closed_, other.closed_);
  return *this;
}

bool Client::receive(std::int64_t end_ms, std::size_t most) {
  if (closed_) return false;
  if (!wait_for(fd_, POLLIN, end_ms)) return false;
  const std::size_t before = pending_.size();
  pending_.resize(before + most);
  const ssize_t got = recv(fd_, pending_.data() + before, most, 0);
  pending_.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) closed_ = true;
  return got > 0;
}

bool Client::send(std::string_view bytes) {
  const std::int64_t end = now_ms() + patience_ms;
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EPIPE || errno == ECONNRESET) return false;
    if (errno != EAGAIN && errno != EINTR) fail("send");
    if (now_ms() > end) throw std::runtime_error("the server does not take what is sent");
    wait_for(fd_, POLLIN | POLLOUT, end);
    receive(now_ms(), 65536);
    if (closed_) return false;
  }
  return true;
}

bool Client::send_byte_by_byte(std::string_view bytes) {
  for (const char& byte : bytes) {
    if (!send({&byte, 1})) return false;
  }
  return true;
}

std::optional<Reply> Client::read_reply_or_end(bool to_head, int within_ms) {
  const std::int64_t end = now_ms() + within_ms;
  std::size_t needed = 0;  // so that the head before a long body is not read again for every piece of it
  for (;;) {
    if (closed_ || pending_.size() >= needed) {
      if (std::optional<Reply> reply = take_reply(pending_, to_head, closed_, &needed)) return reply;
    }
    if (closed_) return std::nullopt;
    if (!receive(end, 262144) && !closed_ && now_ms() >= end) {
      throw std::runtime_error("no whole reply within " + std::to_string(within_ms) + " ms; so far: \"" +
                               pending_.substr(0, 400) + "\"");
    }
  }
}

Reply Client::read_reply(bool to_head, int within_ms) {
  std::optional<Reply> reply = read_reply_or_end(to_head, within_ms);
  if (!reply) throw std::runtime_error("the server ended the connection instead of replying");
  return std::move(*reply);
}

Reply Client::get(std::string_view target, std::string_view more_headers) {
  send(request(target, more_headers));
  return read_reply();
}

Reply Client::head(std::string_view target, std::string_view more_headers) {
  send(request(target, more_headers, "HEAD"));
  return read_reply(true);
}

bool Client::ended_silently(int within_ms) {
  const std::int64_t end = now_ms() + within_ms;
  while (pending_.empty() && !closed_ && now_ms() <= end) receive(end, 4096);
  return closed_ && pending_.empty();
}

std::string Client::read_to_end(int within_ms) {
  const std::int64_t end = now_ms() + within_ms;
  while (!closed_) {
    if (!receive(end, 262144) && !closed_ && now_ms() >= end) {
      throw std::runtime_error("the server did not end the connection within " + std::to_string(within_ms) + " ms");
    }
  }
  return std::exchange(pending_, {});
}

std::string Client::read_some(int within_ms) {
  if (pending_.empty()) receive(now_ms() + within_ms, 65536);
  return std::exchange(pending_, {});
}

std::size_t Client::take_now(std::size_t bytes) {
  const std::size_t before = pending_.size();
  receive(now_ms(), bytes);
  return pending_.size() - before;
}

void Client::end_sending() { shutdown(fd_, SHUT_WR); }

void Client::reset() {
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

void Client::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  closed_ = true;
}

std::string request(std::string_view target, std::string_view more_headers, std::string_view method) {
  std::string text(method);
  text.append(" ").append(target).append(" HTTP/1.1\r\nHost: localhost\r\n").append(more_headers).append("\r\n");
  return text;
}

}  // namespace bakeoff::test
