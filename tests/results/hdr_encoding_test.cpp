#include "results/hdr_encoding.h"

#include <openssl/evp.h>
#include <zlib.h>

#include "tests/catch.h"

using namespace bakeoff;

namespace {

std::string from_base64(const std::string& text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  REQUIRE(EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                          reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size())) >= 0);
  return bytes;
}

// What stands behind the head of the compressed form.
std::string unpacked(const std::string& encoded) {
  const std::string bytes = from_base64(encoded);
  REQUIRE(bytes.substr(0, 4) == "\x1c\x84\x93\x14");
  std::string plain(1 << 16, '\0');
  uLongf size = plain.size();
  REQUIRE(uncompress(reinterpret_cast<Bytef*>(plain.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()) + 8,
                     bytes.size() - 8) == Z_OK);
  return plain.substr(0, size);
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

}  // namespace

TEST_CASE("a histogram in HdrHistogram's V2 encoding has a head, runs of empty buckets, and counts") {
  Histogram histogram;
  histogram.record(0);
  histogram.record(2);    // after one empty bucket
  histogram.record(100);  // after 97
  for (int i = 0; i < 200; ++i) histogram.record(101);
  const std::string plain = unpacked(to_hdr_v2(histogram));
  CHECK(plain.substr(0, 4) == "\x1c\x84\x93\x13");
  CHECK(plain.substr(4, 4) == bytes({0, 0, 0, 8}));   // bytes of counts
  CHECK(plain.substr(12, 4) == bytes({0, 0, 0, 3}));  // digits
  CHECK(plain.substr(16, 8) == bytes({0, 0, 0, 0, 0, 0, 0, 1}));
  CHECK(plain.substr(24, 8) == bytes({0, 0, 0, 0, 0, 0, 0, 101}));
  CHECK(plain.substr(32, 8) == bytes({0x3f, 0xf0, 0, 0, 0, 0, 0, 0}));  // 1.0
  // ZigZag: 1 is 2, -97 is 193, 200 is 400.
  CHECK(plain.substr(40) == bytes({2, 0, 2, 0xc1, 0x01, 2, 0x90, 0x03}));
}

TEST_CASE("a histogram without values can be encoded") {
  CHECK(unpacked(to_hdr_v2(Histogram())).substr(4, 4) == bytes({0, 0, 0, 0}));
}

TEST_CASE("a histogram log has one interval") {
  Histogram histogram;
  histogram.record(2'500'000);
  const std::string log = to_hdr_log(histogram, 1000, 10);
  CHECK(log.find("\n1000.000,10.000,2.500,HISTFAAAA") != std::string::npos);
}
