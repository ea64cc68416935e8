// What the server remembers of files: pathname (name to file), response head, and open descriptor, mapping or contents.
// The same cache in every architecture (Pariag 2007, section 7); its lock and its memory are parameters, so that SPED
// pays for no lock and processes can share one (section 5.2). Each of the three parts can be switched off (the eight
// combinations of Flash's breakdown: Pai 1999, section 6.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/unordered_set.hpp>

#include "core/files/body.h"
#include "core/files/descriptor_table.h"
#include "core/files/document_root.h"
#include "core/sharing/lock.h"

namespace bakeoff {

// One file as the cache knows it. Everything that replies use is fixed once the entry can be seen; links and pins
// belong to the cache and its lock.
class CachedFile : public boost::intrusive::unordered_set_base_hook<boost::intrusive::store_hash<true>>,
                   public boost::intrusive::list_base_hook<> {
 public:
  explicit CachedFile(std::pmr::memory_resource* heap)
      : name(heap), not_modified_head(heap), tag(heap), head_memory_(heap) {}

  std::pmr::string name;  // normalised target
  std::string_view head;  // as file_head(), not_modified_head() and entity_tag() make them
  std::pmr::string not_modified_head;
  std::pmr::string tag;
  FileBytes bytes;
  std::int64_t mtime_ns = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

 private:
  friend class FileCache;
  friend class CacheTable;
  std::pmr::string head_memory_;     // holds head, which may begin after some bytes that align it
  char* contents_ = nullptr;         // of bytes.size_bytes, where bytes.memory is a copy
  std::uint64_t charged_bytes_ = 0;  // against the cache's bound
  std::int64_t checked_ms_ = 0;      // when the file was last compared with this entry
  std::uint32_t generation_ = 0;     // of the table that it was made for
  std::uint32_t pins_ = 0;
  bool linked_ = false;
};

// What a look-up found in each of the three caches; unused: that one is off, or was not asked.
struct CacheUse {
  enum class Of : std::uint8_t { unused, hit, miss };
  Of path = Of::unused;
  Of head = Of::unused;
  Of file = Of::unused;
};

// The table itself, in the cache's memory: entries by name, and in the order of their last use.
class CacheTable {
 public:
  CacheTable(std::pmr::memory_resource* heap, std::size_t most_entries, std::uint32_t generation);

 private:
  friend class FileCache;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
    std::size_t operator()(const CachedFile& file) const { return (*this)(std::string_view(file.name)); }
  };
  struct Equal {
    bool operator()(const CachedFile& a, const CachedFile& b) const { return a.name == b.name; }
    bool operator()(std::string_view name, const CachedFile& file) const { return name == std::string_view(file.name); }
  };
  using Names =
      boost::intrusive::unordered_set<CachedFile, boost::intrusive::hash<Hash>, boost::intrusive::equal<Equal>,
                                      boost::intrusive::power_2_buckets<true>>;
  using Uses = boost::intrusive::list<CachedFile>;

  std::pmr::vector<Names::bucket_type> buckets_;
  Names names_;
  Uses uses_;  // most recent first
  std::uint64_t bytes_ = 0;
  std::uint32_t generation_;
};

// Where a cache lives and who may touch it.
class CacheMemory {
 public:
  virtual ~CacheMemory() = default;
  virtual Lock& lock() = 0;
  virtual std::pmr::memory_resource* heap() = 0;
  // The table; nullptr while there is none, and files are then served without being kept. Holds while locked.
  virtual CacheTable* table() = 0;
  // The lock's last holder died: the table is discarded, never repaired. Called with the lock held.
  virtual void discard() = 0;
  // Where the descriptors of entries are noted.
  virtual DescriptorTable& descriptors() = 0;
  // Whether other processes use the table, so that it outlives this one, and no entry may be a private mapping.
  virtual bool is_shared() const { return false; }
  // Whether an entry lies in memory that outlives its process.
  virtual bool is_shared(const CachedFile*) const { return false; }
};

class FileCache {
 public:
  struct Settings {
    bool paths = true;  // remember which file a name means, and its size and time
    bool heads = true;  // remember response heads
    bool files = true;  // remember the open descriptor, mapping or contents
    bool align_heads = false;
    std::size_t entries = 4096;
    std::uint64_t bytes =
        128u << 20;  // of contents and mappings; a longer file is sent piece by piece from its descriptor
    std::int64_t valid_ms = 60'000;  // how long an entry is used before the file is looked at again; 0: for ever
  };

  FileCache(const Settings& settings, const DocumentRoot& root, const BodyStrategy& strategy, CacheMemory& memory);
  ~FileCache();
  FileCache(const FileCache&) = delete;
  FileCache& operator=(const FileCache&) = delete;

  // Pins the file of `name` into `slot`; false when the answer is not in memory. Does not wait for the disk, with one
  // exception: if names are cached and files are not, it opens (and maps) the file, as Flash does without its mapping
  // cache, and may wait for an inode that the kernel has evicted. BLOCKS: lock. REQUIRES: slot is empty.
  bool find(std::string_view name, std::int64_t now_ms, PinSlot& slot, CacheUse* use = nullptr);

  // As find, and asks the file system where needed; returns 200, or the status of an error response with the slot
  // empty: 503 when memory or descriptors ran out. BLOCKS: disk, lock.
  int load(std::string_view name, std::int64_t now_ms, PinSlot& slot, CacheUse* use = nullptr);

  // A file no longer than this is read whole by load(): contents that are sent from the server's memory. 0: none is.
  std::uint64_t read_whole_bytes() const;

  // Gives the pin back. BLOCKS: lock.
  void unpin(PinSlot& slot);

  // Gives back the pin of a process that is dead. BLOCKS: lock.
  void unpin_of_dead(PinSlot& slot);

  // The file is no longer what the entry says: forgets it. REQUIRES: slot is pinned.
  void invalidate(PinSlot& slot);

  // Closes up to `most` descriptors that nobody uses, because the process ran out of them.
  void evict(std::size_t most);

 private:
  class Guard;
  class Garbage;
  struct Loaded;
  bool keeps_files() const;
  BodyStrategy::Keep keeps(std::uint64_t size_bytes) const;
  CachedFile* find_linked(CacheTable& table, std::string_view name) const;
  int load_or_throw(std::string_view name, std::int64_t now_ms, PinSlot& slot, CacheUse& seen);
  bool pin_new_entry(std::string_view name, Loaded& loaded, std::uint64_t charge, PinSlot& slot);
  void list(CachedFile& file, std::int64_t now_ms);
  void list_name(std::string_view name, Loaded& loaded, std::int64_t now_ms);
  enum class Part : std::uint8_t { whole, without_bytes };
  CachedFile* make_entry(std::string_view name, Loaded& loaded, Part part, std::pmr::memory_resource* heap);
  void insert(CacheTable& table, CachedFile& file);
  void unlink(CacheTable& table, CachedFile& file);
  void drop(CacheTable& table, CachedFile& file, Garbage& garbage);
  void make_room(CacheTable& table, std::uint64_t bytes, Garbage& garbage);
  void destroy(CachedFile* file, std::pmr::memory_resource* heap);
  void release_bytes(FileBytes& bytes);

  Settings settings_;
  const DocumentRoot& root_;
  const BodyStrategy& strategy_;
  CacheMemory& memory_;
};

// A cache of one process: its threads share it, or a NoLock says that there is one thread only.
class PrivateCacheMemory final : public CacheMemory {
 public:
  PrivateCacheMemory(std::unique_ptr<Lock> lock, std::size_t most_entries);
  Lock& lock() override { return *lock_; }
  std::pmr::memory_resource* heap() override { return std::pmr::new_delete_resource(); }
  CacheTable* table() override { return &table_; }
  void discard() override;
  DescriptorTable& descriptors() override { return descriptors_; }

 private:
  std::unique_ptr<Lock> lock_;
  PrivateDescriptorTable descriptors_;
  CacheTable table_;
};

}  // namespace bakeoff
