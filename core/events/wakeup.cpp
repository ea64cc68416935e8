#include "core/events/wakeup.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "core/base/check.h"
#include "core/base/errors.h"

namespace bakeoff {

EventDescriptor::EventDescriptor() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw StartError(std::string("cannot create an event descriptor: ") + std::strerror(errno));
}

EventDescriptor::~EventDescriptor() { ::close(fd_); }

void EventDescriptor::add_one() {
  const std::uint64_t one = 1;
  BAKEOFF_CHECK(::write(fd_, &one, sizeof one) == sizeof one);
}

void EventDescriptor::take_all() {
  std::uint64_t count = 0;
  (void)!::read(fd_, &count, sizeof count);  // nothing to read: the notification was acknowledged before
}

}  // namespace bakeoff
