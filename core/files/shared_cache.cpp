#include "core/files/shared_cache.h"

#include <atomic>
#include <functional>
#include <new>

namespace bakeoff {
namespace {

// What an entry costs besides its contents: itself, its name and heads, and the heap's own overhead.
constexpr std::size_t entry_bytes = 4096;

// After a kill at any instruction, other processes must see the stores before it and none after it. The order of the
// program is enough for that, without a fence for the processor: they look only once the kernel has ended the dead one
// and marked its lock, and by then all that it had stored is visible.
void keep_order() { std::atomic_signal_fence(std::memory_order_seq_cst); }

}  // namespace

SharedCacheMemory::SharedCacheMemory(const FileCache::Settings& settings, SharedDescriptorTable& descriptors)
    : most_entries_(settings.entries),
      descriptors_(descriptors),
      header_(sizeof(Shared)),
      shared_(new (header_.data()) Shared) {
  const std::size_t bytes = settings.bytes + settings.bytes / 4 + (settings.entries + 1) * entry_bytes + (1u << 20);
  for (int i = 0; i < generations; ++i) {
    regions_[static_cast<std::size_t>(i)] = std::make_unique<SharedRegion>(bytes);
    heaps_[static_cast<std::size_t>(i)] = std::make_unique<SharedHeap>(*regions_[static_cast<std::size_t>(i)]);
  }
  begin_table();
}

SharedCacheMemory::~SharedCacheMemory() = default;

std::pmr::memory_resource* SharedCacheMemory::heap() {
  return heaps_[static_cast<std::size_t>(shared_->current)].get();
}

CacheTable* SharedCacheMemory::table() {
  return shared_->current < 0 ? nullptr : shared_->areas[static_cast<std::size_t>(shared_->current)].table;
}

void SharedCacheMemory::discard() {
  if (shared_->current >= 0) shared_->areas[static_cast<std::size_t>(shared_->current)].retired = true;
  keep_order();  // else its memory, still sent from, would pass for free
  shared_->current = -1;
  keep_order();
  retire_areas();
  begin_table();
}

bool SharedCacheMemory::is_shared(const CachedFile* file) const {
  for (const auto& region : regions_) {
    const auto* begin = static_cast<const char*>(region->data());
    const auto* place = reinterpret_cast<const char*>(file);
    if (!std::less<>{}(place, begin) && std::less<>{}(place, begin + region->bytes())) return true;
  }
  return false;
}

bool SharedCacheMemory::tidy() {
  if (shared_->lock.lock() == Lock::Taken::abandoned) discard();
  const bool clean = retire_areas();
  if (shared_->current < 0) begin_table();
  shared_->lock.unlock();
  return clean;
}

void SharedCacheMemory::begin_table() {
  for (std::size_t i = 0; i < generations; ++i) {
    Area& area = shared_->areas[i];
    if (area.retired) continue;
    heaps_[i]->reset();
    area.generation = ++shared_->last_generation;
    void* place = heaps_[i]->allocate(sizeof(CacheTable), alignof(CacheTable));
    area.table = new (place) CacheTable(heaps_[i].get(), most_entries_, area.generation);
    shared_->current = static_cast<int>(i);
    return;
  }
}

bool SharedCacheMemory::retire_areas() {
  bool clean = true;
  for (std::size_t i = 0; i < generations; ++i) {
    Area& area = shared_->areas[i];
    if (!area.retired) continue;
    const auto* begin = static_cast<const char*>(regions_[i]->data());
    if (descriptors_.retire(area.generation, begin, begin + regions_[i]->bytes())) {
      regions_[i]->forget_contents();
      heaps_[i]->reset();
      keep_order();
      area.retired = false;
    } else {
      clean = false;
    }
  }
  return clean;
}

}  // namespace bakeoff
