// Comparing names that HTTP writes in either case (RFC 9110, section 5.1).
#pragma once

#include <algorithm>
#include <string_view>

namespace bakeoff {

// `lower` is in lower case. Letters of ASCII alone have two cases.
inline bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char byte, char expected) {
    return (byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte) == expected;
  });
}

}  // namespace bakeoff
