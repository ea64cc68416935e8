#include "tests/support/clock.h"

#include <chrono>
#include <thread>

namespace bakeoff::test {

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

bool eventually(const std::function<bool()>& holds, int within_ms) {
  const std::int64_t end = now_ms() + within_ms;
  for (;;) {
    if (holds()) return true;
    if (now_ms() >= end) return false;
    sleep_ms(5);
  }
}

}  // namespace bakeoff::test
