// epoll: the kernel keeps the interests. What it was told is remembered by descriptor number, so that it is called only
// for a change.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/base/errors.h"
#include "core/events/poller.h"

namespace bakeoff {
namespace {

class EpollPoller final : public Poller {
 public:
  explicit EpollPoller(int descriptors)
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)), known_(static_cast<std::size_t>(descriptors)) {
    if (epoll_ < 0) {
      throw StartError(std::string("no epoll descriptor: ") + std::strerror(errno) +
                       "; raise the limit on open files (ulimit -n)");
    }
    events_.resize(static_cast<std::size_t>(std::min(descriptors, most_events)));
    ready_.reserve(events_.size());
  }
  EpollPoller(const EpollPoller&) = delete;
  EpollPoller& operator=(const EpollPoller&) = delete;
  ~EpollPoller() override { ::close(epoll_); }

  void watch(int fd, Interest interest) override {
    Known& known = of(fd);
    // None is not told to the kernel, which would report hang-ups all the same: wait() removes the descriptor when an
    // event comes, and most often the old interest is back before one does.
    if (interest != Interest::none && interest != known.told) {
      tell(fd, known.told == Interest::none ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, interest);
      known.told = interest;
    }
    count(known, interest);
  }

  void forget(int fd) override {
    Known& known = of(fd);
    if (known.told != Interest::none) tell(fd, EPOLL_CTL_DEL, Interest::none);
    closing(fd);
  }

  void closing(int fd) override {
    Known& known = of(fd);
    count(known, Interest::none);
    known.told = Interest::none;
  }

  std::span<const Ready> wait(int timeout_ms) override {
    ready_.clear();
    const int found = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), timeout_ms);
    if (found < 0) {
      BAKEOFF_CHECK(errno == EINTR);
      return {};
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(found); ++i) {
      const int fd = events_[i].data.fd;
      const std::uint32_t events = events_[i].events;
      const Interest wanted = of(fd).wanted;
      if (wanted == Interest::none) {
        // Nothing told either: closed here, and still open for a moment in a process that was just forked.
        if (of(fd).told != Interest::none) forget(fd);
        continue;
      }
      const bool readable = wants_read(wanted) && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
      const bool writable = wants_write(wanted) && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
      if (readable || writable) ready_.push_back({fd, readable, writable});
    }
    return ready_;
  }

  std::size_t watched() const override { return waited_for_; }
  int descriptor() const override { return epoll_; }

 private:
  // Bounds what one call takes; whatever else is ready comes first with the next, as the kernel turns its list.
  static constexpr int most_events = 4096;

  struct Known {
    Interest wanted = Interest::none;
    Interest told = Interest::none;  // what the kernel reports for it
  };

  Known& of(int fd) {
    BAKEOFF_CHECK(static_cast<unsigned>(fd) < known_.size());
    return known_[static_cast<std::size_t>(fd)];
  }

  void count(Known& known, Interest wanted) {
    waited_for_ += static_cast<std::size_t>(wanted != Interest::none);
    waited_for_ -= static_cast<std::size_t>(known.wanted != Interest::none);
    known.wanted = wanted;
  }

  void tell(int fd, int operation, Interest interest) {
    epoll_event event{};
    event.events = (wants_read(interest) ? EPOLLIN : 0U) | (wants_write(interest) ? EPOLLOUT : 0U);
    event.data.fd = fd;
    if (::epoll_ctl(epoll_, operation, fd, &event) == 0) return;
    const bool kernel_and_memory_agree = errno == ENOMEM || errno == ENOSPC;
    BAKEOFF_CHECK(kernel_and_memory_agree);
    throw NoEventMemory();
  }

  int epoll_;
  std::vector<Known> known_;  // by descriptor
  std::size_t waited_for_ = 0;
  std::vector<epoll_event> events_;
  std::vector<Ready> ready_;
};

}  // namespace

std::unique_ptr<Poller> make_epoll_poller(int descriptors) { return std::make_unique<EpollPoller>(descriptors); }

}  // namespace bakeoff
