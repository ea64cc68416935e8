#include "core/sharing/shared_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>

#include "core/base/check.h"
#include "core/base/errors.h"

namespace bakeoff {

SharedRegion::SharedRegion(std::size_t bytes) {
  BAKEOFF_CHECK(bytes > 0);
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  bytes_ = (bytes + page - 1) / page * page;
  data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data_ == MAP_FAILED)
    throw StartError("cannot map " + std::to_string(bytes_) + " bytes of shared memory: " + std::strerror(errno) +
                     "; ask for a smaller cache or fewer processes");
}

SharedRegion::~SharedRegion() { munmap(data_, bytes_); }

void SharedRegion::forget_contents() { BAKEOFF_CHECK(madvise(data_, bytes_, MADV_REMOVE) == 0); }

namespace {

// Boost's, since it was made to keep its own state inside the memory that it hands out. Without its locks, as the
// cache holds one, and with plain pointers, as the region lies at the same address in every process.
using Algorithm = boost::interprocess::rbtree_best_fit<boost::interprocess::null_mutex_family, void*>;

Algorithm& algorithm_of(const SharedRegion& region) { return *std::launder(static_cast<Algorithm*>(region.data())); }

}  // namespace

SharedHeap::SharedHeap(SharedRegion& region) : region_(region) {
  if (region.bytes() < Algorithm::get_min_size(0))
    throw StartError("a shared heap needs more than " + std::to_string(region.bytes()) +
                     " bytes; ask for a larger cache");
  reset();
}

// The other processes may go on using the heap: its state stays until the region goes.
SharedHeap::~SharedHeap() = default;

// Not destroyed before: the state of a heap whose user was killed cannot be trusted.
void SharedHeap::reset() { new (region_.data()) Algorithm(region_.bytes(), 0); }

std::size_t SharedHeap::free_bytes() const { return algorithm_of(region_).get_free_memory(); }

void* SharedHeap::do_allocate(std::size_t bytes, std::size_t alignment) {
  Algorithm& algorithm = algorithm_of(region_);
  void* piece =
      alignment <= Algorithm::Alignment ? algorithm.allocate(bytes) : algorithm.allocate_aligned(bytes, alignment);
  if (piece == nullptr) throw std::bad_alloc();
  return piece;
}

void SharedHeap::do_deallocate(void* piece, std::size_t, std::size_t) { algorithm_of(region_).deallocate(piece); }

}  // namespace bakeoff
