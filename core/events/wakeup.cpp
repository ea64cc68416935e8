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

Wakeup::Wakeup() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw StartError(std::string("cannot create an event descriptor: ") + std::strerror(errno));
}

Wakeup::~Wakeup() { ::close(fd_); }

void Wakeup::notify() {
  if (pending_.exchange(true)) return;
  const std::uint64_t one = 1;
  BAKEOFF_CHECK(::write(fd_, &one, sizeof one) == sizeof one);
}

void Wakeup::acknowledge() {
  std::uint64_t count = 0;
  (void)!::read(fd_, &count, sizeof count);  // nothing to read: the notification was acknowledged before
  pending_ = false;
}

}  // namespace bakeoff
