#include "core/base/units.h"

#include "core/base/errors.h"
#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("sizes are bytes, or powers of 1024 or of 1000") {
  CHECK(parse_size_bytes("0") == 0);
  CHECK(parse_size_bytes("64") == 64);
  CHECK(parse_size_bytes("64B") == 64);
  CHECK(parse_size_bytes("64K") == 65'536);
  CHECK(parse_size_bytes("64KiB") == 65'536);
  CHECK(parse_size_bytes("1M") == 1'048'576);
  CHECK(parse_size_bytes("2GiB") == std::uint64_t{2} << 30);
  CHECK(parse_size_bytes("3T") == std::uint64_t{3} << 40);
  CHECK(parse_size_bytes("64KB") == 64'000);
  CHECK(parse_size_bytes("2TB") == 2'000'000'000'000);
  CHECK(parse_size_bytes("64k") == 65'536);
  CHECK(parse_size_bytes("1.5 MiB") == 1'572'864);
  for (const char* text : {"", "K", "-1", "+1", " 1", "1 ", "1  K", "1.5", "1.0001K", "64iB", "1X", "1MiBB", "0x10",
                           "99999999999999999999", "9223372036854775807K", "16777216T"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_size_bytes(text), UsageError);
  }
}

TEST_CASE("times carry a unit") {
  CHECK(parse_duration_ms("0s") == 0);
  CHECK(parse_duration_ms("300ms") == 300);
  for (int ms = 0; ms < 3000; ++ms) REQUIRE(parse_duration_ms(std::to_string(ms) + "ms") == ms);
  CHECK(parse_duration_ms("15s") == 15'000);
  CHECK(parse_duration_ms("1.5s") == 1500);
  CHECK(parse_duration_ms("2m") == 120'000);
  CHECK(parse_duration_ms("1h") == 3'600'000);
  CHECK(parse_duration_ms("2 min") == 120'000);
  CHECK(parse_duration_ms("15S") == 15'000);
  CHECK(parse_duration_ms("1999us") == 1);
  for (const char* text :
       {"", "s", "15", "-1s", "+1s", " 1s", "1  s", "15 ", "15sec", "nans", "infs", "1e300s", "1e999s", "ms"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_duration_ms(text), UsageError);
  }
}
