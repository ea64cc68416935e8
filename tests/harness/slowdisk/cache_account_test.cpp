#include "harness/slowdisk/cache_account.h"

#include <set>

#include "core/base/random.h"
#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("beyond the bound, the oldest pages are dropped") {
  CacheAccount account(10 * cache_page_bytes);
  CHECK(account.read({1, 0, 6}).empty());
  CHECK(account.read({2, 0, 4}).empty());
  CHECK(account.resident_bytes() == 10 * cache_page_bytes);
  CHECK(account.read({3, 5, 3}) == std::vector<PageRange>{{1, 0, 3}});
  CHECK(account.read({3, 8, 4}) == std::vector<PageRange>{{1, 3, 3}, {2, 0, 1}});
  CHECK(account.resident_bytes() == 10 * cache_page_bytes);
  CHECK(account.dropped_bytes() == 7 * cache_page_bytes);
}

TEST_CASE("a page read again is young again and counts once") {
  CacheAccount account(4 * cache_page_bytes);
  account.read({1, 0, 4});
  CHECK(account.read({1, 0, 2}).empty());
  CHECK(account.resident_bytes() == 4 * cache_page_bytes);
  CHECK(account.read({2, 0, 2}) == std::vector<PageRange>{{1, 2, 2}});
}

TEST_CASE("one reading larger than the bound leaves its end") {
  CacheAccount account(2 * cache_page_bytes);
  CHECK(account.read({1, 0, 5}) == std::vector<PageRange>{{1, 0, 3}});
}

TEST_CASE("without a bound nothing is dropped") {
  CacheAccount account(0);
  CHECK(account.read({1, 0, 100'000}).empty());
  CHECK(account.dropped_bytes() == 0);
}

TEST_CASE("the account agrees with a plain set of pages") {
  CacheAccount account(64 * cache_page_bytes);
  std::set<std::pair<std::uint64_t, std::uint64_t>> resident;
  Random random(5);
  for (int i = 0; i < 5000; ++i) {
    const PageRange range{random.below(8), random.below(40), 1 + random.below(8)};
    for (std::uint64_t page = 0; page < range.pages; ++page) resident.emplace(range.file, range.first_page + page);
    for (const PageRange& gone : account.read(range)) {
      for (std::uint64_t page = 0; page < gone.pages; ++page)
        REQUIRE(resident.erase({gone.file, gone.first_page + page}) == 1);
    }
    REQUIRE(resident.size() * cache_page_bytes == account.resident_bytes());
    REQUIRE(resident.size() <= 64);
  }
}
