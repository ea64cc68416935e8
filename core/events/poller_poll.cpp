// poll: the interests are an array without holes, which the kernel gets whole with each call; an index by descriptor
// number makes a change O(1).
#include <poll.h>

#include <cerrno>
#include <vector>

#include "core/base/check.h"
#include "core/events/poller.h"

namespace bakeoff {
namespace {

class PollPoller final : public Poller {
 public:
  explicit PollPoller(int descriptors) : index_(static_cast<std::size_t>(descriptors), absent) {
    waited_for_.reserve(index_.size());
    ready_.reserve(index_.size());
  }

  void watch(int fd, Interest interest) override {
    const short events =
        static_cast<short>((wants_read(interest) ? POLLIN : 0) | (wants_write(interest) ? POLLOUT : 0));
    int& index = index_of(fd);
    if (events == 0) {
      remove(index);
    } else if (index == absent) {
      index = static_cast<int>(waited_for_.size());
      waited_for_.push_back({fd, events, 0});
    } else {
      waited_for_[static_cast<std::size_t>(index)].events = events;
    }
  }

  void forget(int fd) override { remove(index_of(fd)); }
  void closing(int fd) override { remove(index_of(fd)); }

  std::span<const Ready> wait(int timeout_ms) override {
    ready_.clear();
    const int found = ::poll(waited_for_.data(), waited_for_.size(), timeout_ms);
    if (found < 0) {
      BAKEOFF_CHECK(errno == EINTR);
      return {};
    }
    for (std::size_t i = 0; ready_.size() < static_cast<std::size_t>(found); ++i) {
      const pollfd& entry = waited_for_[i];
      if (entry.revents == 0) continue;
      const bool every_watched_descriptor_is_open = (entry.revents & POLLNVAL) == 0;
      BAKEOFF_CHECK(every_watched_descriptor_is_open);
      ready_.push_back({entry.fd, (entry.events & POLLIN) != 0 && (entry.revents & (POLLIN | POLLERR | POLLHUP)) != 0,
                        (entry.events & POLLOUT) != 0 && (entry.revents & (POLLOUT | POLLERR | POLLHUP)) != 0});
    }
    return ready_;
  }

  std::size_t watched() const override { return waited_for_.size(); }

 private:
  static constexpr int absent = -1;

  int& index_of(int fd) {
    BAKEOFF_CHECK(static_cast<unsigned>(fd) < index_.size());
    return index_[static_cast<std::size_t>(fd)];
  }

  // The last entry takes the place of the removed one.
  void remove(int& index) {
    if (index == absent) return;
    const pollfd last = waited_for_.back();
    waited_for_[static_cast<std::size_t>(index)] = last;
    index_[static_cast<std::size_t>(last.fd)] = index;
    waited_for_.pop_back();
    index = absent;
  }

  std::vector<pollfd> waited_for_;
  std::vector<int> index_;  // by descriptor, into waited_for_
  std::vector<Ready> ready_;
};

}  // namespace

std::unique_ptr<Poller> make_poll_poller(int descriptors) { return std::make_unique<PollPoller>(descriptors); }

}  // namespace bakeoff
