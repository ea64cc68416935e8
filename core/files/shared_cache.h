// The memory of a file cache that processes share (Pariag 2007, section 5.2). A table whose lock holder died may be
// inconsistent: a fresh one replaces it, and its memory is reused once no connection sends from it any more.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/files/file_cache.h"
#include "core/files/shared_descriptor_table.h"
#include "core/sharing/lock.h"
#include "core/sharing/shared_memory.h"

namespace bakeoff {

class SharedCacheMemory final : public CacheMemory {
 public:
  // Made before the processes are. Throws StartError.
  SharedCacheMemory(const FileCache::Settings& settings, SharedDescriptorTable& descriptors);
  ~SharedCacheMemory() override;

  Lock& lock() override { return shared_->lock; }
  std::pmr::memory_resource* heap() override;
  CacheTable* table() override;
  void discard() override;
  DescriptorTable& descriptors() override { return descriptors_; }
  bool is_shared() const override { return true; }
  bool is_shared(const CachedFile* file) const override;

  // Makes retired memory usable again where nobody uses it any more; true when none is left retired. BLOCKS: lock.
  bool tidy();

 private:
  // One in use, and enough for a few that wait for slow readers; with none free, files are served without being kept.
  static constexpr int generations = 4;

  struct Area {
    CacheTable* table = nullptr;
    std::uint32_t generation = 0;
    bool retired = false;
  };
  struct Shared {
    ProcessLock lock;
    int current = -1;  // of areas; -1: none
    std::uint32_t last_generation = 0;
    std::array<Area, generations> areas;
  };
  void begin_table();
  bool retire_areas();

  std::size_t most_entries_;
  SharedDescriptorTable& descriptors_;
  SharedRegion header_;
  Shared* shared_;
  std::array<std::unique_ptr<SharedRegion>, generations> regions_;
  std::array<std::unique_ptr<SharedHeap>, generations> heaps_;
};

}  // namespace bakeoff
