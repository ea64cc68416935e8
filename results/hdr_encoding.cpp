#include "results/hdr_encoding.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/base/check.h"

namespace bakeoff {
namespace {

// A histogram of three digits has 2048 buckets in its first octave and 1024 in each further one. So has ours, and its
// buckets have the same numbers.
static_assert(Histogram::sub_bucket_bits == 10);
constexpr std::uint32_t significant_digits = 3;
constexpr std::uint32_t cookie_v2 = 0x1c849313, cookie_v2_compressed = 0x1c849314;

template <class Number>
void put(std::string& bytes, Number number) {  // the most significant byte first
  for (int shift = 8 * (static_cast<int>(sizeof number) - 1); shift >= 0; shift -= 8)
    bytes += static_cast<char>(number >> shift & 0xff);
}

// ZigZag LEB128 of at most nine bytes: seven bits a byte, the lowest first; the ninth byte has eight.
void put_count(std::string& bytes, std::int64_t count) {
  std::uint64_t rest = static_cast<std::uint64_t>(count) << 1 ^ static_cast<std::uint64_t>(count >> 63);
  for (int i = 0; i < 8 && rest >= 0x80; ++i, rest >>= 7) bytes += static_cast<char>((rest & 0x7f) | 0x80);
  bytes += static_cast<char>(rest);
}

std::string deflated(const std::string& bytes) {
  uLongf size = compressBound(static_cast<uLong>(bytes.size()));
  std::string packed(size, '\0');
  BAKEOFF_CHECK(compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                         static_cast<uLong>(bytes.size())) == Z_OK);
  packed.resize(size);
  return packed;
}

std::string base64(const std::string& bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // and the zero that EVP_EncodeBlock() writes
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

}  // namespace

std::string to_hdr_v2(const Histogram& histogram) {
  std::string counts;
  std::size_t next = 0;
  histogram.for_each([&](std::size_t bucket, std::uint64_t count) {
    const auto empty = static_cast<std::int64_t>(bucket - next);
    if (empty == 1) put_count(counts, 0);
    if (empty > 1) put_count(counts, -empty);  // a run of empty buckets
    put_count(counts, static_cast<std::int64_t>(count));
    next = bucket + 1;
  });
  const std::uint64_t highest =
      std::max<std::uint64_t>(2, Histogram::bucket_high(Histogram::bucket_of(histogram.max_ns())));
  std::string plain;
  put(plain, cookie_v2);
  put(plain, static_cast<std::uint32_t>(counts.size()));
  put(plain, std::uint32_t{0});  // the counts are not shifted
  put(plain, significant_digits);
  put(plain, std::uint64_t{1});  // the lowest value, in ns
  put(plain, highest);
  put(plain, std::bit_cast<std::uint64_t>(1.0));  // integers are what was recorded
  const std::string packed = deflated(plain + counts);
  std::string whole;
  put(whole, cookie_v2_compressed);
  put(whole, static_cast<std::uint32_t>(packed.size()));
  return base64(whole + packed);
}

std::string to_hdr_log(const Histogram& histogram, double from_s, double length_s) {
  return fmt::format(
      "#[Histogram log format version 1.3]\n#[StartTime: {:.3f} (seconds since epoch)]\n"
      "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
      "{:.3f},{:.3f},{:.3f},{}\n",
      from_s, from_s, length_s, static_cast<double>(histogram.max_ns()) * 1e-6, to_hdr_v2(histogram));
}

}  // namespace bakeoff
