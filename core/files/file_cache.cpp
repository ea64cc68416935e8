#include "core/files/file_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <new>

#include "core/base/check.h"
#include "core/files/shared_descriptor_table.h"
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

// What was fetched from the file system, owned until an entry takes it over.
struct FileCache::Loaded {
  explicit Loaded(FileCache& owner) : cache(owner) {}
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

  FileCache& cache;
  DocumentRoot::File file;
  FileBytes bytes;
  std::string contents;
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
  if (memory_.ledger() != nullptr) return;  // other processes go on using it
  Guard guard(memory_);
  CacheTable& table = *memory_.table();
  while (!table.uses_.empty()) drop(table, table.uses_.back());
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
    if (file->bytes.size_bytes > 0 && strategy_.keeps(file->bytes.size_bytes) == BodyStrategy::Keep::contents) return false;
  }
  seen.path = CacheUse::Of::hit;
  return load(name, now_ms, slot, use) == 200;
}

bool FileCache::keeps_files() const { return settings_.files && strategy_.kind() != BodyKind::uncached; }

int FileCache::load(std::string_view name, std::int64_t now_ms, PinSlot& slot, CacheUse* use) {
  BAKEOFF_CHECK(slot.file == nullptr);
  CacheUse ignored;
  CacheUse& seen = use != nullptr ? *use : ignored;
  const Ledger::Window window(memory_.ledger());
  Loaded loaded(*this);
  loaded.file = root_.open(name);
  if (loaded.file.status == 503) {
    shed(16);
    loaded.file = root_.open(name);
  }
  if (loaded.file.status != 200) return loaded.file.status;

  const bool keep_files = keeps_files();
  if (keep_files) seen.file = CacheUse::Of::miss;
  if (settings_.heads) seen.head = CacheUse::Of::miss;
  {
    Guard guard(memory_);
    CacheTable* table = memory_.table();
    CachedFile* known = table == nullptr ? nullptr : find_linked(*table, name);
    if (known != nullptr) {
      const bool same = known->inode == loaded.file.inode && known->device == loaded.file.device &&
                        known->mtime_ns == loaded.file.mtime_ns && known->bytes.size_bytes == loaded.file.size_bytes;
      if (!same) {
        drop(*table, *known);
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
  // The bytes, in the form that the strategy sends. Outside the lock: this is what waits for the disk.
  loaded.bytes.size_bytes = loaded.file.size_bytes;
  switch (strategy_.keeps(loaded.file.size_bytes)) {
    case BodyStrategy::Keep::descriptor: loaded.bytes.fd = std::exchange(loaded.file.fd, -1); break;
    case BodyStrategy::Keep::mapping: {
      void* mapping = ::mmap(nullptr, loaded.file.size_bytes, PROT_READ, MAP_SHARED, loaded.file.fd, 0);
      if (mapping == MAP_FAILED) return 503;
      loaded.bytes.memory = static_cast<const char*>(mapping);
      loaded.bytes.mapped = true;
      break;
    }
    case BodyStrategy::Keep::contents: {
      try {
        loaded.contents.resize(loaded.file.size_bytes);
      } catch (const std::bad_alloc&) {
        return 503;
      }
      std::size_t got = 0;
      while (got < loaded.contents.size()) {
        const ssize_t n = ::pread(loaded.file.fd, loaded.contents.data() + got, loaded.contents.size() - got,
                                  static_cast<off_t>(got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 500;  // unreadable, or shorter than it was a moment ago
        got += static_cast<std::size_t>(n);
      }
      break;
    }
  }

  Guard guard(memory_);
  CacheTable* table = memory_.table();
  if (table != nullptr) {
    CachedFile* listed_already = find_linked(*table, name);
    if (listed_already != nullptr && keep_files) {  // another worker loaded it meanwhile: one entry is enough
      drop(*table, *std::exchange(listed_already, nullptr));
    }
    const std::uint64_t charge = keep_files && loaded.bytes.fd < 0 ? loaded.file.size_bytes : 0;
    const bool worth_keeping = charge <= settings_.bytes && settings_.entries > 0;
    if (worth_keeping && listed_already == nullptr && (keep_files || settings_.paths || settings_.heads)) {
      try {
        make_room(*table, charge);
        // Without the file part, the listed entry keeps name and head, and a second one carries this request's bytes.
        Loaded name_only(*this);
        name_only.file = loaded.file;
        name_only.file.fd = -1;
        name_only.bytes.size_bytes = loaded.file.size_bytes;
        name_only.head = loaded.head;
        name_only.not_modified_head = loaded.not_modified_head;
        name_only.tag = loaded.tag;
        CachedFile* listed = make_entry(name, keep_files ? loaded : name_only, memory_.heap());
        listed->checked_ms_ = now_ms;
        listed->charged_bytes_ = charge;
        insert(*table, *listed);
        if (keep_files) {
          slot.file = listed;
          ++listed->pins_;
          return 200;
        }
      } catch (const std::bad_alloc&) {
        // The memory that the cache may use is full of pinned files: serve this one without keeping it.
      }
    }
  }
  CachedFile* unlisted_file = make_entry(name, loaded, std::pmr::new_delete_resource());
  unlisted_file->generation_ = unlisted;
  unlisted_file->pins_ = 1;
  if (memory_.ledger() != nullptr && unlisted_file->bytes.fd >= 0) memory_.ledger()->note(unlisted_file->bytes.fd);
  slot.file = unlisted_file;
  return 200;
}

void FileCache::unpin(PinSlot& slot) {
  CachedFile* file = slot.file;
  if (file->generation_ == unlisted) {  // this connection's own
    slot.file = nullptr;
    destroy(file, std::pmr::new_delete_resource());
    return;
  }
  Guard guard(memory_);
  slot.file = nullptr;
  CacheTable* table = memory_.table();
  if (table == nullptr || file->generation_ != table->generation_) return;  // of a discarded table: it goes with that
  BAKEOFF_CHECK(file->pins_ > 0);
  if (--file->pins_ == 0 && !file->linked_) destroy(file, memory_.heap());
}

void FileCache::unpin_of_dead(PinSlot& slot) {
  if (memory_.is_shared(slot.file)) {
    unpin(slot);
  } else {
    slot.file = nullptr;  // it lay in the dead process's own memory
  }
}

void FileCache::doom(PinSlot& slot) {
  Guard guard(memory_);
  CacheTable* table = memory_.table();
  if (table != nullptr && slot.file->generation_ == table->generation_ && slot.file->linked_)
    unlink(*table, *slot.file);
}

void FileCache::shed(std::size_t most) {
  Guard guard(memory_);
  CacheTable* table = memory_.table();
  if (table == nullptr) return;
  auto next = table->uses_.end();
  while (most > 0 && next != table->uses_.begin()) {
    CachedFile& file = *--next;
    if (file.pins_ > 0 || file.bytes.fd < 0) continue;
    ++next;
    unlink(*table, file);
    destroy(&file, memory_.heap());
    --most;
  }
}

CachedFile* FileCache::find_linked(CacheTable& table, std::string_view name) const {
  const auto place = table.names_.find(name, CacheTable::Hash{}, CacheTable::Equal{});
  return place == table.names_.end() ? nullptr : &*place;
}

CachedFile* FileCache::make_entry(std::string_view name, Loaded& loaded, std::pmr::memory_resource* heap) const {
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
    entry->contents = loaded.contents;
  } catch (...) {
    allocator.delete_object(entry);
    throw;
  }
  entry->mtime_ns = loaded.file.mtime_ns;
  entry->device = loaded.file.device;
  entry->inode = loaded.file.inode;
  entry->bytes = std::exchange(loaded.bytes, {});
  if (!loaded.contents.empty()) entry->bytes.memory = entry->contents.data();
  return entry;
}

void FileCache::insert(CacheTable& table, CachedFile& file) {
  file.generation_ = table.generation_;
  if (memory_.ledger() != nullptr && file.bytes.fd >= 0) memory_.ledger()->note_cached(file.bytes.fd, file.generation_);
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

void FileCache::drop(CacheTable& table, CachedFile& file) {
  unlink(table, file);
  if (file.pins_ == 0) destroy(&file, memory_.heap());  // else its last pin does
}

void FileCache::make_room(CacheTable& table, std::uint64_t bytes) {
  while (!table.uses_.empty() && (table.uses_.size() >= settings_.entries || table.bytes_ + bytes > settings_.bytes)) {
    drop(table, table.uses_.back());
  }
}

void FileCache::destroy(CachedFile* file, std::pmr::memory_resource* heap) {
  release_bytes(file->bytes);
  std::pmr::polymorphic_allocator<>(heap).delete_object(file);
}

void FileCache::release_bytes(FileBytes& bytes) {
  if (bytes.mapped) ::munmap(const_cast<char*>(bytes.memory), bytes.size_bytes);
  if (bytes.fd >= 0 && memory_.ledger() != nullptr) {
    memory_.ledger()->close(bytes.fd);
  } else if (bytes.fd >= 0) {
    ::close(bytes.fd);
  }
  bytes = {};
}

}  // namespace bakeoff
