#include "tests/support/held_disk.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <stdexcept>

namespace bakeoff::test {
namespace {

int open_watch() { return ::fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC); }

std::string name_of(int fd) {
  std::error_code none;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none).filename().string();
}

}  // namespace

bool HeldDisk::is_possible() {
  const int fd = open_watch();
  if (fd < 0) {
    std::cerr << "skipped: files cannot be held back (fanotify: " << std::strerror(errno) << ")\n";
    return false;
  }
  ::close(fd);
  return true;
}

HeldDisk::HeldDisk(const std::filesystem::path& directory) : fd_(open_watch()), stop_fd_(::eventfd(0, EFD_CLOEXEC)) {
  if (fd_ < 0 || stop_fd_ < 0 ||
      ::fanotify_mark(fd_, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_EVENT_ON_CHILD, AT_FDCWD, directory.c_str()) != 0) {
    throw std::runtime_error(std::string("files cannot be held back: ") + std::strerror(errno));
  }
  thread_ = std::thread([this] { answer(); });
}

HeldDisk::~HeldDisk() {
  release();
  const std::uint64_t one = 1;
  (void)!::write(stop_fd_, &one, sizeof one);
  thread_.join();
  ::close(fd_);
  ::close(stop_fd_);
}

void HeldDisk::hold(const std::string& prefix) {
  const std::lock_guard lock(mutex_);
  prefix_ = prefix;
}

void HeldDisk::release() {
  const std::lock_guard lock(mutex_);
  prefix_.clear();
  for (const int fd : waiting_) allow(fd);
  waiting_.clear();
}

std::size_t HeldDisk::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

void HeldDisk::answer() {
  alignas(fanotify_event_metadata) std::array<char, 4096> events;
  for (;;) {
    std::array<pollfd, 2> both = {{{fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
    if (::poll(both.data(), both.size(), -1) < 0) continue;
    if (both[1].revents != 0) return;
    ssize_t left = ::read(fd_, events.data(), events.size());
    const auto* event = reinterpret_cast<const fanotify_event_metadata*>(events.data());
    for (; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
      if (event->fd < 0) continue;
      const std::string name = name_of(event->fd);
      const std::lock_guard lock(mutex_);
      if (!prefix_.empty() && name.starts_with(prefix_)) {
        waiting_.push_back(event->fd);
      } else {
        allow(event->fd);
      }
    }
  }
}

void HeldDisk::allow(int event_fd) {
  fanotify_response response{};
  response.fd = event_fd;
  response.response = FAN_ALLOW;
  (void)!::write(fd_, &response, sizeof response);
  ::close(event_fd);
}

}  // namespace bakeoff::test
