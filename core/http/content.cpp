#include "core/http/content.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/mix64.h"

namespace bakeoff {

namespace {

static_assert(std::endian::native == std::endian::little, "content is defined by little-endian words");

constexpr std::uint64_t word_step = 0x9e3779b97f4a7c15u;

// Eight bytes of content. One multiplication: strong enough that no two offsets or files look alike, and cheap enough
// that a client can check every byte it receives.
constexpr std::uint64_t finish_word(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  return x ^ (x >> 29);
}

// Calls whole(position, word) for each aligned word inside [offset, offset + size) and part(position, bytes, count) for
// what sticks out at either end; positions count from the start of the range.
template <class Whole, class Part>
void for_words(std::uint64_t seed, std::uint64_t offset, std::size_t size, Whole whole, Part part) {
  std::size_t position = 0;
  std::uint64_t x = seed + (offset / 8) * word_step;
  if (const std::size_t into = offset % 8; into != 0 && size > 0) {
    const std::uint64_t word = finish_word(x);
    const std::size_t count = std::min(size, 8 - into);
    part(position, reinterpret_cast<const char*>(&word) + into, count);
    position += count;
    x += word_step;
  }
  for (; size - position >= 8; position += 8, x += word_step) whole(position, finish_word(x));
  if (position < size) {
    const std::uint64_t word = finish_word(x);
    part(position, reinterpret_cast<const char*>(&word), size - position);
  }
}

}  // namespace

std::uint64_t content_seed(std::string_view path) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a, finished by a mix because its high bits are weak for short names
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mix64(hash);
}

void content(std::uint64_t seed, std::uint64_t offset, std::span<char> out) {
  for_words(
      seed, offset, out.size(),
      [&](std::size_t position, std::uint64_t word) { std::memcpy(out.data() + position, &word, 8); },
      [&](std::size_t position, const char* bytes, std::size_t count) {
        std::memcpy(out.data() + position, bytes, count);
      });
}

bool content_matches(std::uint64_t seed, std::uint64_t offset, std::span<const char> bytes) {
  std::uint64_t differences = 0;  // gathered rather than branched upon, so that the loop runs at full width
  for_words(
      seed, offset, bytes.size(),
      [&](std::size_t position, std::uint64_t word) {
        std::uint64_t got;
        std::memcpy(&got, bytes.data() + position, 8);
        differences |= got ^ word;
      },
      [&](std::size_t position, const char* expected, std::size_t count) {
        differences |= std::memcmp(bytes.data() + position, expected, count) != 0 ? 1u : 0u;
      });
  return differences == 0;
}

std::uint64_t content_version() { return finish_word(word_step); }

}  // namespace bakeoff
