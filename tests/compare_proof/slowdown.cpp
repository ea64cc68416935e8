// Preloaded into a server, makes it slower by a known share without touching it: every thread pays for the CPU time that it
// has used by using up that share of it again. Servers receive a request by recv(), which is where they pay.
//     SLOWDOWN=0.10 LD_PRELOAD=.../libslowdown.so sped ...
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

constexpr std::uint32_t calls_between_payments = 64;  // reading the clock is a system call: not once a request

std::int64_t thread_cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

double share() {
  static const double chosen = [] {
    const char* text = std::getenv("SLOWDOWN");
    return text == nullptr ? 0.0 : std::atof(text);
  }();
  return chosen;
}

thread_local std::uint32_t calls = 0;
thread_local std::int64_t paid_until_ns = 0;

void pay() {
  if (++calls % calls_between_payments != 0) return;
  const std::int64_t used_ns = thread_cpu_ns() - paid_until_ns;
  paid_until_ns += used_ns + static_cast<std::int64_t>(static_cast<double>(used_ns) * share());
  while (thread_cpu_ns() < paid_until_ns) {
  }
}

}  // namespace

extern "C" ssize_t recv(int fd, void* buffer, size_t length, int flags) {
  pay();
  return syscall(SYS_recvfrom, fd, buffer, length, flags, nullptr, nullptr);
}
