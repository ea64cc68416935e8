#include "core/base/patient_output.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace bakeoff {
namespace {

// One piece, which a descriptor that poll() has found writable takes without waiting: a pipe has room for PIPE_BUF
// bytes then; sends to a socket do not wait.
ssize_t write_piece(int fd, std::string_view piece) {
  const ssize_t sent = ::send(fd, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent >= 0 || errno != ENOTSOCK ? sent : ::write(fd, piece.data(), piece.size());
}

}  // namespace

void PatientOutput::write(std::string_view bytes) {
  while (complete_ && !bytes.empty()) {
    pollfd room{fd_, POLLOUT, 0};
    const int ready = ::poll(&room, 1, patience_ms_);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      complete_ = false;
      return;
    }
    const ssize_t written = write_piece(fd_, bytes.substr(0, PIPE_BUF));
    if (written > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      complete_ = false;
    }
  }
}

}  // namespace bakeoff
