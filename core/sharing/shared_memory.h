// Memory that a server's processes share: mapped before they are made, so that every address means the same in each.
#pragma once

#include <cstddef>
#include <memory_resource>

namespace bakeoff {

// An anonymous shared mapping. Throws StartError. Pages cost memory only once touched.
class SharedRegion {
 public:
  // REQUIRES: bytes > 0. Rounded up to whole pages.
  explicit SharedRegion(std::size_t bytes);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

  // Gives the touched pages back; they read as zero afterwards, in every process.
  void forget_contents();

 private:
  void* data_;
  std::size_t bytes_;
};

// Allocates from a region; its own state is in the region too, so that all processes see one heap. It is not locked:
// the cache that allocates from it holds its own lock. allocate() throws std::bad_alloc when the region is full.
class SharedHeap final : public std::pmr::memory_resource {
 public:
  // Formats the region. REQUIRES: nobody uses what was allocated from it before. Throws StartError when the region is
  // too small to hold the heap's own state.
  explicit SharedHeap(SharedRegion& region);
  ~SharedHeap() override;

  // Formats it anew: everything allocated from it is gone, whatever state a dead process left it in. Bytes that were
  // handed out keep their values until they are handed out again.
  void reset();

  std::size_t free_bytes() const;  // in pieces of any size

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* piece, std::size_t bytes, std::size_t alignment) override;
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  SharedRegion& region_;
};

}  // namespace bakeoff
