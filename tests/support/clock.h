// Bounded waiting for tests that talk to another process: no test may hang, and none sleeps for a fixed time where it
// can look instead.
#pragma once

#include <cstdint>
#include <functional>

namespace bakeoff::test {

inline constexpr bool sanitized = BAKEOFF_TEST_SANITIZED;

// How long a test waits for something that should happen at once, in ms. Generous, for it is only ever used up by a
// failure, and the machine may be busy.
inline constexpr int patience_ms = sanitized ? 40'000 : 15'000;

inline constexpr std::int64_t second_ns = 1'000'000'000;

// CLOCK_MONOTONIC in ms.
std::int64_t now_ms();

void sleep_ms(int ms);

// Looks every few ms until `holds` does or time is up; tells which.
bool eventually(const std::function<bool()>& holds, int within_ms = patience_ms);

}  // namespace bakeoff::test
