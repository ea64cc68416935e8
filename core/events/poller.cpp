#include "core/events/poller.h"

#include <poll.h>

#include "core/base/check.h"

namespace bakeoff {

std::string_view name_of(EventMechanism mechanism) {
  switch (mechanism) {
    case EventMechanism::epoll: return "epoll";
    case EventMechanism::poll: return "poll";
    case EventMechanism::select: return "select";
  }
  BAKEOFF_CHECK(!"an event mechanism without a name");
}

std::unique_ptr<Poller> make_poller(EventMechanism mechanism, int descriptors) {
  BAKEOFF_CHECK(descriptors > 0);
  switch (mechanism) {
    case EventMechanism::epoll: return make_epoll_poller(descriptors);
    case EventMechanism::poll: return make_poll_poller(descriptors);
    case EventMechanism::select: return make_select_poller(descriptors);
  }
  BAKEOFF_CHECK(!"an event mechanism without a poller");
}

bool wait_until_writable(int fd, int timeout_ms) {
  pollfd socket{fd, POLLOUT, 0};
  return ::poll(&socket, 1, timeout_ms) > 0;
}

}  // namespace bakeoff
