#include "core/files/body.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "core/base/check.h"

namespace bakeoff {
namespace {

constexpr std::size_t most_head_pieces = 3;

std::uint64_t bytes_of(std::span<const std::string_view> head) {
  std::uint64_t bytes = 0;
  for (const std::string_view piece : head) bytes += piece.size();
  return bytes;
}

// Head and body in one call: what a small reply costs is system calls, not copying.
ssize_t send_together(int socket, std::span<const std::string_view> head, std::string_view body, int flags) {
  std::array<iovec, most_head_pieces + 1> pieces;
  BAKEOFF_CHECK(head.size() <= most_head_pieces);
  std::size_t count = 0;
  for (const std::string_view piece : head) pieces[count++] = {const_cast<char*>(piece.data()), piece.size()};
  if (!body.empty()) pieces[count++] = {const_cast<char*>(body.data()), body.size()};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | flags);
}

// The head waits in the socket (MSG_MORE) for the first bytes that sendfile adds, so that both leave in one segment.
ssize_t send_from_descriptor(int socket, std::span<const std::string_view> head, int fd, std::uint64_t offset,
                             std::uint64_t length) {
  ssize_t sent = 0;
  if (!head.empty()) {
    sent = send_together(socket, head, {}, length > 0 ? MSG_MORE : 0);
    if (sent < 0 || static_cast<std::uint64_t>(sent) < bytes_of(head) || length == 0) return sent;
  }
  off_t position = static_cast<off_t>(offset);
  const ssize_t body = ::sendfile(socket, fd, &position, length);
  if (body < 0) return sent > 0 ? sent : -1;
  return sent + body;
}

ssize_t send_by_reading(int socket, std::span<const std::string_view> head, int fd, std::uint64_t offset,
                        std::uint64_t length, std::span<char> scratch) {
  const std::size_t most = std::min<std::uint64_t>(length, scratch.size());
  ssize_t got = 0;
  if (most > 0) {
    got = ::pread(fd, scratch.data(), most, static_cast<off_t>(offset));
    if (got < 0) return -1;
  }
  if (got == 0 && head.empty()) return 0;
  return send_together(socket, head, {scratch.data(), static_cast<std::size_t>(got)}, 0);
}

}  // namespace

std::string_view name_of(BodyKind kind) {
  switch (kind) {
    case BodyKind::automatic: return "auto";
    case BodyKind::sendfile: return "sendfile";
    case BodyKind::mmap: return "mmap";
    case BodyKind::buffer: return "buffer";
    case BodyKind::uncached: return "uncached";
  }
  BAKEOFF_CHECK(false);
}

BodyStrategy::BodyStrategy(BodyKind kind, std::uint64_t auto_limit_bytes)
    : kind_(kind), auto_limit_bytes_(auto_limit_bytes) {}

BodyStrategy::Keep BodyStrategy::keeps(std::uint64_t size_bytes) const {
  if (size_bytes == 0) return Keep::contents;  // nothing to keep, and nothing can be mapped
  switch (kind_) {
    case BodyKind::automatic: return size_bytes <= auto_limit_bytes_ ? Keep::contents : Keep::descriptor;
    case BodyKind::mmap: return Keep::mapping;
    case BodyKind::buffer: return Keep::contents;
    case BodyKind::sendfile:
    case BodyKind::uncached: return Keep::descriptor;
  }
  BAKEOFF_CHECK(false);
}

std::uint64_t BodyStrategy::most_contents_bytes() const {
  switch (kind_) {
    case BodyKind::automatic: return auto_limit_bytes_;
    case BodyKind::buffer: return std::numeric_limits<std::uint64_t>::max();
    case BodyKind::mmap:
    case BodyKind::sendfile:
    case BodyKind::uncached: return 0;
  }
  BAKEOFF_CHECK(false);
}

ssize_t BodyStrategy::send(int socket, std::span<const std::string_view> head, const FileBytes& file,
                           std::uint64_t offset, std::uint64_t length, std::span<char> scratch) const {
  if (length == 0) return send_together(socket, head, {}, 0);
  if (file.memory != nullptr) return send_together(socket, head, {file.memory + offset, length}, 0);
  if (reads_pieces(file)) return send_by_reading(socket, head, file.fd, offset, length, scratch);
  return send_from_descriptor(socket, head, file.fd, offset, length);
}

}  // namespace bakeoff
