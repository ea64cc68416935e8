// The bytes of files and of synthetic replies: a function of the path and the offset alone, so that a client can
// check what it receives without reading a disk. The seed is computed once per path; then any part can be generated or
// checked at any offset, at memory speed.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace bakeoff {

std::uint64_t content_seed(std::string_view path);
void content(std::uint64_t seed, std::uint64_t offset, std::span<char> out);
// Whether `bytes` are what the path has from `offset` on. They need not be aligned to anything.
bool content_matches(std::uint64_t seed, std::uint64_t offset, std::span<const char> bytes);

// Changes whenever content is made in another way.
std::uint64_t content_version();

}  // namespace bakeoff
