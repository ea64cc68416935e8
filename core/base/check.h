// A condition that only a bug can break. It stays on in release builds: a server that has lost its own invariants
// must not go on producing figures.
#pragma once

#include <cstdio>
#include <cstdlib>

#define BAKEOFF_CHECK(condition)                                                                \
  do {                                                                                          \
    if (!(condition)) [[unlikely]] {                                                            \
      std::fprintf(stderr, "bug: %s does not hold at %s:%d\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                                             \
    }                                                                                           \
  } while (false)
