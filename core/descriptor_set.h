// A set of descriptors as a bitmap, the form select takes. fd_set ends at 1024; this one ends where its maker says.
// WatPipe's stages keep such sets and hand batches over by merging them (Pariag 2007, section 6).
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace bakeoff {

class DescriptorSet {
 public:
  explicit DescriptorSet(int descriptors) : words_((static_cast<std::size_t>(descriptors) + 63) / 64, 0) {}

  void insert(int fd);
  void erase(int fd);
  bool contains(int fd) const;
  bool empty() const;
  void clear();

  // Adds every member of `other`.
  void merge(const DescriptorSet& other);

  // Calls visit(fd) for every member, in ascending order. `visit` may erase the member it is called with.
  template <class Visit>
  void for_each(Visit visit) const;

  // One past the highest descriptor ever inserted since clear(): what select calls nfds.
  int limit() const { return limit_; }

  std::uint64_t* words() { return words_.data(); }
  const std::uint64_t* words() const { return words_.data(); }

 private:
  std::vector<std::uint64_t> words_;
  int limit_ = 0;
};

}  // namespace bakeoff
