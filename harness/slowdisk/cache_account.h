// The pages of the file set that the kernel has, oldest first, to evict them beyond a bound. The kernel does not report
// hits, so the order is that of reading, not of use: first in, first out.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace bakeoff {

inline constexpr std::uint64_t cache_page_bytes = 4096;

struct PageRange {
  std::uint64_t file = 0;
  std::uint64_t first_page = 0;
  std::uint64_t pages = 0;
  bool operator==(const PageRange&) const = default;
};

class CacheAccount {
 public:
  // bound_bytes 0: no bound, nothing is ever dropped.
  explicit CacheAccount(std::uint64_t bound_bytes)
      : bound_pages_((bound_bytes + cache_page_bytes - 1) / cache_page_bytes), bounded_(bound_bytes > 0) {}

  // Pages were read. Returns what is to be dropped, so that what stays is within the bound. A page that is read
  // again (the kernel had dropped it by itself) counts once, as read now.
  std::vector<PageRange> read(const PageRange& range);

  std::uint64_t resident_bytes() const { return sequence_of_.size() * cache_page_bytes; }
  std::uint64_t dropped_bytes() const { return dropped_pages_ * cache_page_bytes; }

 private:
  struct Page {
    std::uint64_t file, page;
    bool operator==(const Page&) const = default;
  };
  struct PageHash {
    std::size_t operator()(const Page& page) const {
      return (page.file * 0x9e3779b97f4a7c15u) ^ (page.page * 0xd6e8feb86659fd93u);
    }
  };
  struct Reading {
    Page page;
    std::uint64_t sequence;
  };

  std::uint64_t bound_pages_;
  bool bounded_;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t dropped_pages_ = 0;
  std::unordered_map<Page, std::uint64_t, PageHash> sequence_of_;  // when each resident page was last read
  std::deque<Reading> readings_;  // oldest first; outdated where the page was read again
};

}  // namespace bakeoff
