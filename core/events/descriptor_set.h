// A set of descriptors as a bitmap, the form select takes. fd_set ends at 1024; this one ends where its maker says.
// WatPipe's stages keep such sets and hand batches over by merging them (Pariag 2007, section 6).
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/check.h"

namespace bakeoff {

class DescriptorSet {
 public:
  // REQUIRES: 0 <= fd < descriptors for every later call.
  explicit DescriptorSet(int descriptors) : words_((static_cast<std::size_t>(descriptors) + 63) / 64, 0) {}

  void insert(int fd) {
    words_[index_of(fd)] |= bit_of(fd);
    limit_ = std::max(limit_, fd + 1);
  }
  void erase(int fd) { words_[index_of(fd)] &= ~bit_of(fd); }
  bool contains(int fd) const { return (words_[index_of(fd)] & bit_of(fd)) != 0; }
  bool empty() const {
    return std::all_of(words_.data(), words_.data() + words_in_use(), [](std::uint64_t word) { return word == 0; });
  }
  void clear() {
    std::fill_n(words_.data(), words_in_use(), 0);
    limit_ = 0;
  }

  // Adds every member of `other`.
  void merge(const DescriptorSet& other) {
    const std::size_t used = other.words_in_use();
    BAKEOFF_CHECK(used <= words_.size());
    for (std::size_t i = 0; i < used; ++i) words_[i] |= other.words_[i];
    limit_ = std::max(limit_, other.limit_);
  }

  // Calls visit(fd) for every member, in ascending order. `visit` may erase the member it is called with.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < words_in_use(); ++i) {
      for (std::uint64_t left = words_[i]; left != 0; left &= left - 1) {
        visit(static_cast<int>(i * 64) + std::countr_zero(left));
      }
    }
  }

  std::size_t size() const {
    std::size_t members = 0;
    for (std::size_t i = 0; i < words_in_use(); ++i) members += static_cast<std::size_t>(std::popcount(words_[i]));
    return members;
  }

  // One past the highest descriptor ever inserted since clear(): what select calls nfds.
  int limit() const { return limit_; }

  std::uint64_t* words() { return words_.data(); }
  const std::uint64_t* words() const { return words_.data(); }

 private:
  std::size_t index_of(int fd) const {
    const std::size_t index = static_cast<unsigned>(fd) / 64;  // a negative fd becomes a large index
    BAKEOFF_CHECK(index < words_.size());
    return index;
  }
  static std::uint64_t bit_of(int fd) { return std::uint64_t{1} << (static_cast<unsigned>(fd) % 64); }
  std::size_t words_in_use() const { return (static_cast<std::size_t>(limit_) + 63) / 64; }

  std::vector<std::uint64_t> words_;
  int limit_ = 0;
};

}  // namespace bakeoff
