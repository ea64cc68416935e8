// select: the interests are two bitmaps, of which the kernel gets a copy with each call, and it looks at every bit
// below the highest in use. The system call itself knows no limit of 1024: only fd_set and its macros do.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

#include "core/base/check.h"
#include "core/events/descriptor_set.h"
#include "core/events/poller.h"

namespace bakeoff {
namespace {

class SelectPoller final : public Poller {
 public:
  explicit SelectPoller(int descriptors)
      : read_(descriptors), write_(descriptors), readable_(descriptors), writable_(descriptors) {
    ready_.reserve(static_cast<std::size_t>(descriptors));
  }

  void watch(int fd, Interest interest) override {
    const bool was_waited_for = read_.contains(fd) || write_.contains(fd);
    if (wants_read(interest))
      read_.insert(fd);
    else
      read_.erase(fd);
    if (wants_write(interest))
      write_.insert(fd);
    else
      write_.erase(fd);
    if (interest != Interest::none) {
      words_ = std::max(words_, static_cast<std::size_t>(fd) / 64 + 1);
      if (!was_waited_for) ++waited_for_;
    } else if (was_waited_for) {
      --waited_for_;
    }
  }

  void forget(int fd) override { watch(fd, Interest::none); }
  void closing(int fd) override { watch(fd, Interest::none); }

  std::span<const Ready> wait(int timeout_ms) override {
    ready_.clear();
    // Once the high numbers are gone, neither the copy nor the kernel's scan should still pay for them.
    while (words_ > 0 && (read_.words()[words_ - 1] | write_.words()[words_ - 1]) == 0) --words_;

    std::uint64_t* const readable = readable_.words();
    std::uint64_t* const writable = writable_.words();
    std::memcpy(readable, read_.words(), words_ * sizeof *readable);
    std::memcpy(writable, write_.words(), words_ * sizeof *writable);
    timespec timeout{timeout_ms / 1000, timeout_ms % 1000 * 1'000'000L};
    const long found = ::syscall(SYS_pselect6, static_cast<int>(words_ * 64), readable, writable, nullptr,
                                 timeout_ms < 0 ? nullptr : &timeout, nullptr);
    if (found < 0) {
      const bool every_watched_descriptor_is_open = errno != EBADF;
      BAKEOFF_CHECK(every_watched_descriptor_is_open);
      BAKEOFF_CHECK(errno == EINTR);
      return {};
    }
    long left = found;  // counts a descriptor that is both readable and writable twice
    for (std::size_t i = 0; left > 0; ++i) {
      for (std::uint64_t any = readable[i] | writable[i]; any != 0; any &= any - 1) {
        const int bit = std::countr_zero(any);
        const bool can_read = (readable[i] >> bit & 1) != 0;
        const bool can_write = (writable[i] >> bit & 1) != 0;
        ready_.push_back({static_cast<int>(i * 64) + bit, can_read, can_write});
        left -= can_read + can_write;
      }
    }
    return ready_;
  }

  std::size_t watched() const override { return waited_for_; }

 private:
  DescriptorSet read_, write_;         // what is waited for
  DescriptorSet readable_, writable_;  // the copies that the kernel overwrites
  std::size_t words_ = 0;              // how many words of the sets are in use
  std::size_t waited_for_ = 0;
  std::vector<Ready> ready_;
};

}  // namespace

std::unique_ptr<Poller> make_select_poller(int descriptors) { return std::make_unique<SelectPoller>(descriptors); }

}  // namespace bakeoff
