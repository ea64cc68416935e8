#include "harness/slowdisk/cache_account.h"

namespace bakeoff {

std::vector<PageRange> CacheAccount::read(const PageRange& range) {
  for (std::uint64_t page = range.first_page; page < range.first_page + range.pages; ++page) {
    const std::uint64_t sequence = next_sequence_++;
    sequence_of_[{range.file, page}] = sequence;
    if (bounded_) readings_.push_back({{range.file, page}, sequence});
  }
  std::vector<PageRange> dropped;
  while (bounded_ && sequence_of_.size() > bound_pages_) {
    const Reading oldest = readings_.front();
    readings_.pop_front();
    const auto found = sequence_of_.find(oldest.page);
    if (found == sequence_of_.end() || found->second != oldest.sequence) continue;
    sequence_of_.erase(found);
    ++dropped_pages_;
    PageRange* last = dropped.empty() ? nullptr : &dropped.back();
    if (last != nullptr && last->file == oldest.page.file && last->first_page + last->pages == oldest.page.page) {
      ++last->pages;
    } else {
      dropped.push_back({oldest.page.file, oldest.page.page, 1});
    }
  }
  // Where the kernel drops pages by itself, readings go out of date faster than the bound is reached.
  if (readings_.size() > 2 * sequence_of_.size() + 1024) {
    std::erase_if(readings_, [&](const Reading& reading) {
      const auto found = sequence_of_.find(reading.page);
      return found == sequence_of_.end() || found->second != reading.sequence;
    });
  }
  return dropped;
}

}  // namespace bakeoff
