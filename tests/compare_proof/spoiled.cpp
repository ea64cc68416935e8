// Preloaded into a server, slows or breaks it in a known way. Servers receive a request by recv(), where each of
// these acts:
//     SPOILED_CPU=0.10         every thread uses up that share of its CPU time once more
//     SPOILED_CRASH=1000       the process dies after so many requests
//     SPOILED_LEAK=4096        so many bytes are lost with every request
//     SPOILED_TAIL=0.015       that share of the requests is put off for 2 ms: the tail grows, the mean hardly does
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iterator>

namespace {

constexpr std::uint32_t calls_between_settlements = 64;  // reading the clock is a system call: not once a request
constexpr std::int64_t put_off_ns = 2'000'000;

double setting(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0.0 : std::atof(text);
}

const double cpu_share = setting("SPOILED_CPU");
const auto crash_after = static_cast<std::uint64_t>(setting("SPOILED_CRASH"));
const auto leak_bytes = static_cast<std::size_t>(setting("SPOILED_LEAK"));
const double tail_share = setting("SPOILED_TAIL");

std::int64_t now_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

std::int64_t cost_of_clock_ns() {
  constexpr int readings = 10'000;
  const std::int64_t begun_ns = now_ns(CLOCK_MONOTONIC);
  for (int i = 0; i < readings; ++i) now_ns(CLOCK_MONOTONIC);
  return (now_ns(CLOCK_MONOTONIC) - begun_ns) / readings;
}
const std::int64_t clock_ns = cost_of_clock_ns();

thread_local std::uint32_t calls = 0;
thread_local std::int64_t settled_ns = 0;  // CPU time of the thread at the last settlement
thread_local std::int64_t spent_ns = 0;    // by this library since then
thread_local double owed_ns = 0;
thread_local std::int64_t price_ns = 0;  // of each call until the next settlement

// Each call pays a small part. A long pause would let requests gather, and a turn of the event loop with more of them
// costs less a request: that would hide a part of the loss.
void pay() {
  if (++calls % calls_between_settlements == 0) {
    const std::int64_t used_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
    owed_ns += static_cast<double>(used_ns - settled_ns - spent_ns) * cpu_share - static_cast<double>(spent_ns);
    price_ns = static_cast<std::int64_t>(owed_ns) / calls_between_settlements - clock_ns;
    settled_ns = used_ns;
    spent_ns = 0;
  }
  if (price_ns <= 0) return;
  const std::int64_t begun_ns = now_ns(CLOCK_MONOTONIC);  // no system call
  std::int64_t now = begun_ns;
  while ((now = now_ns(CLOCK_MONOTONIC)) - begun_ns < price_ns) {
  }
  spent_ns += std::min(now - begun_ns, 2 * price_ns) + clock_ns;  // more than that was another process's time
}

// Until when that descriptor is put off; 0: it is not. Only ever used by a server with one event loop.
std::int64_t put_off_until_ns[65536];
std::uint64_t received = 0;

bool is_put_off(int fd) {
  if (fd < 0 || fd >= static_cast<int>(std::size(put_off_until_ns))) return false;
  std::int64_t& until_ns = put_off_until_ns[fd];
  if (until_ns != 0) {
    if (now_ns(CLOCK_MONOTONIC) < until_ns) return true;
    until_ns = 0;
    return false;
  }
  if (static_cast<double>(++received % 1000) >= tail_share * 1000) return false;
  until_ns = now_ns(CLOCK_MONOTONIC) + put_off_ns;
  return true;
}

std::atomic<std::uint64_t> requests{0};

}  // namespace

extern "C" ssize_t recv(int fd, void* buffer, size_t length, int flags) {
  if (cpu_share > 0) pay();
  if (tail_share > 0 && is_put_off(fd)) {
    errno = EAGAIN;  // the event mechanism is level-triggered: it comes back with the next turn
    return -1;
  }
  const ssize_t got = syscall(SYS_recvfrom, fd, buffer, length, flags, nullptr, nullptr);
  if (got <= 0) return got;
  if (leak_bytes > 0) {
    if (void* lost = std::malloc(leak_bytes)) std::memset(lost, 1, leak_bytes);
  }
  if (crash_after > 0 && ++requests >= crash_after) raise(SIGSEGV);
  return got;
}
