#include "core/trace/recorder.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <limits>
#include <string>

#include "core/base/clock.h"

namespace bakeoff {
namespace {

// What took less than that did not wait: no scheduler is asked about it.
constexpr std::int64_t least_wait_ns = 20'000;

std::int64_t thread_cpu_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// How long this thread has been able to run without running, in all: the second number of schedstat. 0 where the
// kernel does not count it. No memory and no lock.
std::uint64_t thread_delay_ns() {
  const int fd = ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::array<char, 96> text;
  const ssize_t got = ::read(fd, text.data(), text.size());
  ::close(fd);
  if (got <= 0) return 0;
  const char* const end = text.data() + got;
  const char* at = std::find<const char*>(text.data(), end, ' ');
  std::uint64_t delay = 0;
  if (at != end) std::from_chars(at + 1, end, delay);
  return delay;
}

std::uint32_t told(std::int64_t ns) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ns, 0, std::numeric_limits<std::uint32_t>::max()));
}

bool may_wait(TraceKind kind) {
  return kind == TraceKind::step_on_socket || kind == TraceKind::step_on_disk || kind == TraceKind::job;
}

}  // namespace

TraceRecorder::TraceRecorder(TraceRegion& region, std::string_view name, LaneKind kind) : region_(region), kind_(kind) {
  rename(name);
}

void TraceRecorder::rename(std::string_view name, int number) {
  name_.fill('\0');
  char* const end = name_.data() + TraceRing::longest_name;
  name = name.substr(0, TraceRing::longest_name - 12);
  char* at = std::copy(name.begin(), name.end(), name_.data());
  if (number == 0) return;
  *at++ = ' ';
  std::to_chars(at, end, number);
}

TraceRing* TraceRecorder::ring() {
  if (claimed_) return ring_;
  claimed_ = true;
  ring_ = region_.claim();
  if (ring_ == nullptr) return nullptr;
  delay_before_ns_ = thread_delay_ns();
  ring_->begin(name_.data(), kind_, static_cast<std::uint64_t>(region_.events()), ::getpid(),
               static_cast<pid_t>(::syscall(SYS_gettid)));
  return ring_;
}

std::uint32_t TraceRecorder::new_delay_ns() {
  const std::uint64_t now = thread_delay_ns();
  const std::uint64_t more = now - std::min(now, delay_before_ns_);
  delay_before_ns_ = std::max(now, delay_before_ns_);
  return told(static_cast<std::int64_t>(more));
}

TraceEvent TraceRecorder::begin(TraceKind kind, std::uint32_t connection, std::uint8_t phase) {
  TraceEvent event;
  event.kind = kind;
  event.connection = connection;
  event.phase_before = event.phase_after = phase;
  TraceRing* const mine = ring();
  // Waits for the disk are rare enough that what the scheduler did before them is not to be taken for a part of them.
  if (kind == TraceKind::step_on_disk || kind == TraceKind::job) new_delay_ns();
  if (may_wait(kind)) cpu_before_ns_ = thread_cpu_ns();
  event.begin_ns = monotonic_ns();
  if (mine != nullptr && kind != TraceKind::step) mine->set_open(event);
  return event;
}

void TraceRecorder::end(TraceEvent& event) {
  event.end_ns = monotonic_ns();
  // The two clocks are not read at one moment.
  if (may_wait(event.kind))
    event.cpu_ns = told(std::min(thread_cpu_ns() - cpu_before_ns_, event.end_ns - event.begin_ns));
  if (event.kind != TraceKind::step && event.end_ns - event.begin_ns - event.cpu_ns > least_wait_ns)
    event.delay_ns = new_delay_ns();
  add(event);
}

void TraceRecorder::add(const TraceEvent& event) {
  TraceRing* const mine = ring();
  if (mine == nullptr) return;
  mine->add(event);
  mine->clear_open();
}

std::uint32_t TraceRecorder::accepted(int socket) {
  TraceEvent event = begin(TraceKind::accepted, region_.next_connection());
  event.amount = client_place(socket, true);
  event.end_ns = event.begin_ns;
  add(event);
  return event.connection;
}

std::uint64_t client_place(int socket, bool of_peer) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if ((of_peer ? ::getpeername(socket, generic, &length) : ::getsockname(socket, generic, &length)) != 0) return 0;
  if (address.ss_family == AF_INET) {
    const auto* const four = reinterpret_cast<const sockaddr_in*>(&address);
    return std::uint64_t{ntohl(four->sin_addr.s_addr) & 0xff} << 16 | ntohs(four->sin_port);
  }
  if (address.ss_family == AF_INET6) {
    const auto* const six = reinterpret_cast<const sockaddr_in6*>(&address);
    return std::uint64_t{six->sin6_addr.s6_addr[15]} << 16 | ntohs(six->sin6_port);
  }
  return 0;
}

}  // namespace bakeoff
