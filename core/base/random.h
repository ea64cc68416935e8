// Random numbers that cost a few nanoseconds and eight bytes a stream, and come out the same on every machine:
// SplitMix64 (Steele, Lea, Flood 2014). The standard's distributions differ between libraries, so none is used.
#pragma once

#include <cstdint>

#include "core/base/mix64.h"

namespace bakeoff {

class Random {
 public:
  // Streams of one seed are independent of each other: one a connection, thread or purpose.
  explicit constexpr Random(std::uint64_t seed, std::uint64_t stream = 0)
      : state_(mix64(seed + 0x9e3779b97f4a7c15u) ^ mix64(mix64(stream + 0x632be59bd9b4e019u))) {}

  constexpr std::uint64_t next() { return mix64(state_ += 0x9e3779b97f4a7c15u); }

  // Uniform in [0, 1).
  constexpr double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  // Uniform in (0, 1]: safe to take the logarithm of.
  constexpr double positive_unit() { return static_cast<double>((next() >> 11) + 1) * 0x1p-53; }

  // Uniform in [0, bound), bound >= 1.
  constexpr std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace bakeoff
