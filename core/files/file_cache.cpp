#include "core/files/file_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <new>
#include <optional>

#include "core/base/check.h"
#include "core/http/response_head.h"

namespace bakeoff {

namespace {

// An entry that no table knows; the generation that tables never have.
constexpr std::uint32_t unlisted = 0;

}  // namespace

CacheTable::CacheTable(std::pmr::memory_resource* heap, std::size_t most_entries, std::uint32_t generation)
    : buckets_(std::bit_ceil(most_entries + 1), heap),
      names_(Names::bucket_traits(buckets_.data(), buckets_.size())),
      generation_(generation) {}

PrivateCacheMemory::PrivateCacheMemory(std::unique_ptr<Lock> lock, std::size_t most_entries)
    : lock_(std::move(lock)), table_(std::pmr::new_delete_resource(), most_entries, 1) {}

void PrivateCacheMemory::discard() { BAKEOFF_CHECK(!"a lock of one process cannot outlive its holder"); }

// Holds the lock, and has thrown away what a dead holder left half-done.
class FileCache::Guard {
 public:
  explicit Guard(CacheMemory& memory) : memory_(memory) {
    if (memory_.lock().lock() == Lock::Taken::abandoned) memory_.discard();
  }
  ~Guard() { memory_.lock().unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  CacheMemory& memory_;
};

// What left the table while the lock was held, given back when it no longer is: to close, unmap and free takes time
// that only those who share a cache would wait for. Declared before the Guard, so that it ends after it.
class FileCache::Garbage {
 public:
  explicit Garbage(FileCache& cache) : cache_(cache) {}
  ~Garbage() {
    while (!files_.empty()) {
      CachedFile* const file = &files_.front();
      files_.pop_front();
      cache_.destroy(file, cache_.memory_.heap());
    }
    for (std::size_t i = 0; i < descriptors_; ++i) cache_.memory_.descriptors().close(descriptor_[i]);
  }
  Garbage(const Garbage&) = delete;
  Garbage& operator=(const Garbage&) = delete;

  // REQUIRES: the lock is held; the file is unlinked and nobody pins it.
  void add(CachedFile& file) {
    if (!cache_.memory_.is_shared()) return files_.push_back(file);
    // The shared heap needs the lock, so the entry goes now. The descriptor is recorded as this process's, and
    // closed later.
    if (file.bytes.fd >= 0 && descriptors_ < descriptor_.size()) {
      descriptor_[descriptors_++] = file.bytes.fd;
      cache_.memory_.descriptors().note(std::exchange(file.bytes.fd, -1));
    }
    cache_.destroy(&file, cache_.memory_.heap());
  }

 private:
  FileCache& cache_;
  CacheTable::Uses files_;
  std::size_t descriptors_ = 0;
  std::array<int, 64> descriptor_;  // beyond that many they are closed at once
};

// What was fetched from the file system, owned until an entry takes it over.
struct FileCache::Loaded {
  explicit Loaded(FileCache& owner) : cache(owner) {}
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

  FileCache& cache;
  DocumentRoot::File file;
  FileBytes bytes;
  std::string head, not_modified_head, tag;

  ~Loaded() {
    cache.release_bytes(bytes);
    if (file.fd >= 0) ::close(file.fd);
  }
};

FileCache::FileCache(const Settings& settings, const DocumentRoot& root, const BodyStrategy& strategy,
                     CacheMemory& memory)
    : settings_(settings), root_(root), strategy_(strategy), memory_(memory) {}

FileCache::~FileCache() {
  if (memory_.is_shared()) return;  // other processes go on using it
  Garbage garbage(*this);
  Guard guard(memory_);
  CacheTable& table = *memory_.table();
  while (!table.uses_.empty()) drop(table, table.uses_.back(), garbage);
}

bool FileCache::find(std::string_view name, std::int64_t now_ms, PinSlot& slot, CacheUse* use) {
  CacheUse ignored;
  CacheUse& seen = use != nullptr ? *use : ignored;
  if (!settings_.paths) return false;
  seen.path = CacheUse::Of::miss;
  {
    Guard guard(memory_);
    CacheTable* table = memory_.table();
    if (table == nullptr) return false;
    CachedFile* file = find_linked(*table, name);
    if (file == nullptr) return false;
    if (settings_.valid_ms != 0 && now_ms - file->checked_ms_ > settings_.valid_ms) return false;
    if (keeps_files()) {
      seen.path = seen.file = CacheUse::Of::hit;
      if (settings_.heads) seen.head = CacheUse::Of::hit;
      if (&table->uses_.front() != file)
        table->uses_.splice(table->uses_.begin(), table->uses_, table->uses_.iterator_to(*file));
      slot.file = file;
      ++file->pins_;
      return true;
    }
    // Contents would have to be read: that is the disk's.
    if (file->bytes.size_bytes > 0 && keeps(file->bytes.size_bytes) == BodyStrategy::Keep::contents) return false;
  }
  seen.path = CacheUse::Of::hit;
  return load(name, now_ms, slot, use) == 200;
}

bool FileCache::keeps_files() const { return settings_.files && strategy_.kind() != BodyKind::uncached; }

// In which form the bytes of a file are kept while they are sent. What the cache may not hold is never copied whole.
BodyStrategy::Keep FileCache::keeps(std::uint64_t size_bytes) const {
  const BodyStrategy::Keep keep = strategy_.keeps(size_bytes);
  return keep == BodyStrategy::Keep::contents && size_bytes > settings_.bytes ? BodyStrategy::Keep::descriptor : keep;
}

std::uint64_t FileCache::read_whole_bytes() const { return std::min(strategy_.most_contents_bytes(), settings_.bytes); }

int FileCache::load(std::string_view name, std::int64_t now_ms, PinSlot& slot, CacheUse* use) {
  BAKEOFF_CHECK(slot.file == nullptr);
  CacheUse ignored;
  const DescriptorTable::Window window(memory_.descriptors());
  try {
    return load_or_throw(name, now_ms, slot, use != nullptr ? *use : ignored);
  } catch (const std::bad_alloc&) {
    return 503;
  }
}

int FileCache::load_or_throw(std::string_view name, std::int64_t now_ms, PinSlot& slot, CacheUse& seen) {
  Loaded loaded(*this);
  loaded.file = root_.open(name);
  if (loaded.file.status == 503) {
    evict(16);
    loaded.file = root_.open(name);
  }
  if (loaded.file.status != 200) return loaded.file.status;

  const bool keep_files = keeps_files();
  if (keep_files) seen.file = CacheUse::Of::miss;
  if (settings_.heads) seen.head = CacheUse::Of::miss;
  {
    Garbage garbage(*this);
    Guard guard(memory_);
    CacheTable* table = memory_.table();
    CachedFile* known = table == nullptr ? nullptr : find_linked(*table, name);
    if (known != nullptr) {
      const bool same = known->inode == loaded.file.inode && known->device == loaded.file.device &&
                        known->mtime_ns == loaded.file.mtime_ns && known->bytes.size_bytes == loaded.file.size_bytes;
      if (!same) {
        drop(*table, *known, garbage);
      } else {
        known->checked_ms_ = now_ms;
        table->uses_.splice(table->uses_.begin(), table->uses_, table->uses_.iterator_to(*known));
        if (settings_.heads) seen.head = CacheUse::Of::hit;
        if (keep_files) {
          seen.file = CacheUse::Of::hit;
          slot.file = known;
          ++known->pins_;
          return 200;
        }
        loaded.head = known->head;
        loaded.not_modified_head = known->not_modified_head;
        loaded.tag = known->tag;
      }
    }
  }

  if (settings_.heads && loaded.head.empty()) {
    loaded.head = file_head(name, loaded.file.size_bytes, loaded.file.mtime_ns);
    if (settings_.align_heads) pad_head(loaded.head);
    loaded.not_modified_head = not_modified_head(loaded.file.size_bytes, loaded.file.mtime_ns);
    loaded.tag = entity_tag(loaded.file.size_bytes, loaded.file.mtime_ns);
  }
  loaded.bytes.size_bytes = loaded.file.size_bytes;
  switch (keeps(loaded.file.size_bytes)) {
    case BodyStrategy::Keep::descriptor: loaded.bytes.fd = std::exchange(loaded.file.fd, -1); break;
    case BodyStrategy::Keep::mapping: {
      void* mapping = ::mmap(nullptr, loaded.file.size_bytes, PROT_READ, MAP_SHARED, loaded.file.fd, 0);
      if (mapping == MAP_FAILED) return 503;
      loaded.bytes.memory = static_cast<const char*>(mapping);
      loaded.bytes.mapped = true;
      break;
    }
    case BodyStrategy::Keep::contents: break;  // they are read into the entry
  }

  // Descriptors are bounded by the number of entries. What is too long for the cache is not listed, and is
  // this request's.
  const bool copied_or_mapped = strategy_.keeps(loaded.file.size_bytes) != BodyStrategy::Keep::descriptor;
  const std::uint64_t charge = keep_files && copied_or_mapped ? loaded.file.size_bytes : 0;
  const bool listed = charge <= settings_.bytes && settings_.entries > 0;
  const bool in_cache = listed && keep_files && pin_new_entry(name, loaded, charge, slot);
  if (!in_cache) {
    // Without the file part, the listed entry keeps name and head, and one that is not listed carries this
    // request's bytes.
    if (listed && !keep_files && (settings_.paths || settings_.heads)) list_name(name, loaded, now_ms);
    slot.file = make_entry(name, loaded, Part::whole, std::pmr::new_delete_resource());
    slot.file->generation_ = unlisted;
    slot.file->pins_ = 1;
    if (slot.file->bytes.fd >= 0) memory_.descriptors().note(slot.file->bytes.fd);
  }
  // Outside the lock: this is what waits for the disk.
  for (std::size_t got = 0; slot.file->contents_ != nullptr && got < slot.file->bytes.size_bytes;) {
    const ssize_t n =
        ::pread(loaded.file.fd, slot.file->contents_ + got, slot.file->bytes.size_bytes - got, static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {  // unreadable, or shorter than it was a moment ago
      unpin(slot);
      return 500;
    }
    got += static_cast<std::size_t>(n);
  }
  if (in_cache) list(*slot.file, now_ms);
  return 200;
}

// Makes an entry in the cache's memory, which nobody can find yet; false when there is no room for it. It is pinned at
// once, so that it is given back if this process dies while it reads.
bool FileCache::pin_new_entry(std::string_view name, Loaded& loaded, std::uint64_t charge, PinSlot& slot) {
  Garbage garbage(*this);
  std::optional<Guard> guard;
  if (memory_.is_shared()) guard.emplace(memory_);  // for its heap; that of one process needs no lock
  CacheTable* const table = memory_.table();
  if (table == nullptr) return false;
  if (memory_.is_shared()) make_room(*table, charge, garbage);
  CachedFile* file = nullptr;
  try {
    file = make_entry(name, loaded, Part::whole, memory_.heap());
  } catch (const std::bad_alloc&) {
    return false;  // the memory that the cache may use is full of pinned files
  }
  file->charged_bytes_ = charge;
  file->generation_ = table->generation_;
  file->pins_ = 1;
  if (file->bytes.fd >= 0) memory_.descriptors().note_cached(file->bytes.fd, file->generation_);
  slot.file = file;
  return true;
}

// Lets others find an entry that is whole now, and pinned.
void FileCache::list(CachedFile& file, std::int64_t now_ms) {
  Garbage garbage(*this);
  Guard guard(memory_);
  CacheTable* const table = memory_.table();
  if (table == nullptr || table->generation_ != file.generation_) return;  // discarded meanwhile
  // Another worker may have loaded the same: one entry is enough.
  if (CachedFile* other = find_linked(*table, file.name)) drop(*table, *other, garbage);
  make_room(*table, file.charged_bytes_, garbage);
  file.checked_ms_ = now_ms;
  insert(*table, file);
}

void FileCache::list_name(std::string_view name, Loaded& loaded, std::int64_t now_ms) {
  Garbage garbage(*this);
  const bool shared = memory_.is_shared();
  CachedFile* file = shared ? nullptr : make_entry(name, loaded, Part::without_bytes, memory_.heap());
  Guard guard(memory_);
  CacheTable* const table = memory_.table();
  if (table == nullptr) return;
  if (find_linked(*table, name) != nullptr) {
    if (file != nullptr) garbage.add(*file);
    return;
  }
  make_room(*table, 0, garbage);
  try {
    if (shared) file = make_entry(name, loaded, Part::without_bytes, memory_.heap());
  } catch (const std::bad_alloc&) {
    return;
  }
  file->checked_ms_ = now_ms;
  file->generation_ = table->generation_;
  insert(*table, *file);
}

void FileCache::unpin(PinSlot& slot) {
  CachedFile* file = slot.file;
  if (file->generation_ == unlisted) {  // this connection's own
    slot.file = nullptr;
    destroy(file, std::pmr::new_delete_resource());
    return;
  }
  Garbage garbage(*this);
  Guard guard(memory_);
  slot.file = nullptr;
  CacheTable* table = memory_.table();
  if (table == nullptr || file->generation_ != table->generation_) return;  // of a discarded table: it goes with that
  BAKEOFF_CHECK(file->pins_ > 0);
  if (--file->pins_ == 0 && !file->linked_) garbage.add(*file);
}

void FileCache::unpin_of_dead(PinSlot& slot) {
  if (memory_.is_shared(slot.file)) {
    unpin(slot);
  } else {
    slot.file = nullptr;  // it lay in the dead process's own memory
  }
}

void FileCache::invalidate(PinSlot& slot) {
  Guard guard(memory_);
  CacheTable* table = memory_.table();
  if (table != nullptr && slot.file->generation_ == table->generation_ && slot.file->linked_)
    unlink(*table, *slot.file);
}

void FileCache::evict(std::size_t most) {
  Garbage garbage(*this);
  Guard guard(memory_);
  CacheTable* table = memory_.table();
  if (table == nullptr) return;
  auto next = table->uses_.end();
  while (most > 0 && next != table->uses_.begin()) {
    CachedFile& file = *--next;
    if (file.pins_ > 0 || file.bytes.fd < 0) continue;
    ++next;
    drop(*table, file, garbage);
    --most;
  }
}

CachedFile* FileCache::find_linked(CacheTable& table, std::string_view name) const {
  const auto place = table.names_.find(name, CacheTable::Hash{}, CacheTable::Equal{});
  return place == table.names_.end() ? nullptr : &*place;
}

// With room for the contents, where they are kept; reading them is the caller's.
CachedFile* FileCache::make_entry(std::string_view name, Loaded& loaded, Part part, std::pmr::memory_resource* heap) {
  std::pmr::polymorphic_allocator<> allocator(heap);
  auto* entry = allocator.new_object<CachedFile>(heap);
  try {
    entry->name = name;
    std::size_t skipped = 0;
    if (settings_.align_heads && !loaded.head.empty()) {
      entry->head_memory_.reserve(loaded.head.size() + head_alignment_bytes);
      const auto begin = reinterpret_cast<std::uintptr_t>(entry->head_memory_.data());
      skipped = (head_alignment_bytes - begin % head_alignment_bytes) % head_alignment_bytes;
      entry->head_memory_.assign(skipped, ' ');
    }
    entry->head_memory_ += loaded.head;
    entry->head = std::string_view(entry->head_memory_).substr(skipped);
    entry->not_modified_head = loaded.not_modified_head;
    entry->tag = loaded.tag;
    entry->bytes.size_bytes = loaded.file.size_bytes;
    const bool copied = loaded.bytes.fd < 0 && loaded.bytes.memory == nullptr && loaded.file.size_bytes > 0;
    if (part == Part::whole && copied) {
      entry->contents_ = static_cast<char*>(heap->allocate(loaded.file.size_bytes, 1));
      entry->bytes.memory = entry->contents_;
    }
  } catch (...) {
    destroy(entry, heap);
    throw;
  }
  entry->mtime_ns = loaded.file.mtime_ns;
  entry->device = loaded.file.device;
  entry->inode = loaded.file.inode;
  if (part == Part::whole && entry->contents_ == nullptr) entry->bytes = std::exchange(loaded.bytes, {});
  return entry;
}

void FileCache::insert(CacheTable& table, CachedFile& file) {
  table.names_.insert(file);
  table.uses_.push_front(file);
  table.bytes_ += file.charged_bytes_;
  file.linked_ = true;
}

void FileCache::unlink(CacheTable& table, CachedFile& file) {
  table.names_.erase(table.names_.iterator_to(file));
  table.uses_.erase(table.uses_.iterator_to(file));
  table.bytes_ -= file.charged_bytes_;
  file.linked_ = false;
}

void FileCache::drop(CacheTable& table, CachedFile& file, Garbage& garbage) {
  unlink(table, file);
  if (file.pins_ == 0) garbage.add(file);  // else its last pin does
}

void FileCache::make_room(CacheTable& table, std::uint64_t bytes, Garbage& garbage) {
  while (!table.uses_.empty() && (table.uses_.size() >= settings_.entries || table.bytes_ + bytes > settings_.bytes)) {
    drop(table, table.uses_.back(), garbage);
  }
}

void FileCache::destroy(CachedFile* file, std::pmr::memory_resource* heap) {
  if (file->contents_ != nullptr) heap->deallocate(file->contents_, file->bytes.size_bytes, 1);
  release_bytes(file->bytes);
  std::pmr::polymorphic_allocator<>(heap).delete_object(file);
}

void FileCache::release_bytes(FileBytes& bytes) {
  if (bytes.mapped) ::munmap(const_cast<char*>(bytes.memory), bytes.size_bytes);
  if (bytes.fd >= 0) memory_.descriptors().close(bytes.fd);
  bytes = {};
}

}  // namespace bakeoff
