#include "core/files/file_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <barrier>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/http/response_head.h"
#include "tests/catch.h"
#include "tests/core/files/cached_bytes.h"
#include "tests/core/server_bench.h"

using namespace bakeoff;
using bakeoff::test::body_kinds;
using bakeoff::test::bytes_of;
using bakeoff::test::open_descriptors;
using bakeoff::test::TempDir;
using bakeoff::test::test_content;

namespace {

constexpr std::uint64_t auto_limit_bytes = 1000;

// A cache over a directory of its own.
struct Cache {
  explicit Cache(FileCache::Settings its_settings = {}, BodyKind kind = BodyKind::automatic,
                 std::unique_ptr<Lock> lock = std::make_unique<NoLock>())
      : settings(its_settings),
        root(directory.path().string()),
        strategy(kind, auto_limit_bytes),
        memory(std::move(lock), settings.entries),
        files(std::make_unique<FileCache>(settings, root, strategy, memory)) {}

  std::string write(const std::string& name, std::size_t bytes) const {
    std::string content = test_content(name, bytes);
    directory.write(name.substr(1), content);
    return content;
  }

  bool is_cached(std::string_view name) {
    PinSlot slot;
    if (!files->find(name, now_ms, slot)) return false;
    files->unpin(slot);
    return true;
  }

  int load_and_unpin(std::string_view name) {
    PinSlot slot;
    const int status = files->load(name, now_ms, slot);
    if (slot.file != nullptr) files->unpin(slot);
    return status;
  }

  TempDir directory;
  FileCache::Settings settings;
  DocumentRoot root;
  BodyStrategy strategy;
  PrivateCacheMemory memory;
  std::unique_ptr<FileCache> files;
  std::int64_t now_ms = 1'000'000;
};

struct Pin {
  explicit Pin(Cache& its_cache) : cache(its_cache) {}
  ~Pin() {
    if (slot.file != nullptr) cache.files->unpin(slot);
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  const CachedFile* operator->() const { return slot.file; }

  Cache& cache;
  PinSlot slot;
};

}  // namespace

TEST_CASE("a file is looked up on the disk once") {
  Cache cache;
  const std::string content = cache.write("/a.html", 500);
  Pin first(cache);
  CHECK_FALSE(cache.files->find("/a.html", cache.now_ms, first.slot));
  CHECK(first.slot.file == nullptr);
  REQUIRE(cache.files->load("/a.html", cache.now_ms, first.slot) == 200);
  Pin second(cache);
  REQUIRE(cache.files->find("/a.html", cache.now_ms, second.slot));
  CHECK(second.slot.file == first.slot.file);
  CHECK(bytes_of(*second.slot.file) == content);
  CHECK(second->name == "/a.html");
  CHECK(std::string_view(second->head) == file_head("/a.html", 500, second->mtime_ns));
  CHECK(std::string_view(second->not_modified_head) == not_modified_head(500, second->mtime_ns));
  CHECK(std::string_view(second->tag) == entity_tag(500, second->mtime_ns));
}

TEST_CASE("what is no file is refused, pins nothing and is not remembered") {
  Cache cache;
  cache.write("/dir/a", 10);
  const std::ptrdiff_t before = open_descriptors();
  CHECK(cache.load_and_unpin("/missing") == 404);
  CHECK(cache.load_and_unpin("/dir") == 301);
  CHECK(cache.load_and_unpin("/dir/a/below") == 404);
  CHECK_FALSE(cache.is_cached("/missing"));
  CHECK_FALSE(cache.is_cached("/dir"));
  CHECK(open_descriptors() == before);
  cache.write("/missing", 10);
  CHECK(cache.load_and_unpin("/missing") == 200);
}

TEST_CASE("every body strategy keeps the bytes in its own form, and no descriptor longer than it needs") {
  const BodyKind kind = GENERATE(from_range(body_kinds));
  const std::size_t size = GENERATE(0, 1, 1000, 1001, 100'000);
  CAPTURE(name_of(kind), size);
  const std::ptrdiff_t before = open_descriptors();
  {
    Cache cache({}, kind);
    const std::ptrdiff_t without_files = open_descriptors();
    const std::string content = cache.write("/a", size);
    {
      Pin pin(cache);
      REQUIRE(cache.files->load("/a", cache.now_ms, pin.slot) == 200);
      CHECK(pin->bytes.size_bytes == size);
      CHECK(bytes_of(*pin.slot.file) == content);
      const bool descriptor = size > 0 && (kind == BodyKind::sendfile || kind == BodyKind::uncached ||
                                           (kind == BodyKind::automatic && size > 1000));
      CHECK((pin->bytes.fd >= 0) == descriptor);
      CHECK(pin->bytes.mapped == (size > 0 && kind == BodyKind::mmap));
      CHECK(open_descriptors() == without_files + (descriptor ? 1 : 0));
    }
    CHECK(cache.is_cached("/a"));
    if (kind == BodyKind::uncached) CHECK(open_descriptors() == without_files);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("each of the eight combinations of caches serves the right bytes") {
  FileCache::Settings settings;
  settings.paths = GENERATE(true, false);
  settings.heads = GENERATE(true, false);
  settings.files = GENERATE(true, false);
  const BodyKind kind = GENERATE(from_range(body_kinds));
  CAPTURE(settings.paths, settings.heads, settings.files, name_of(kind));
  const std::ptrdiff_t before = open_descriptors();
  {
    Cache cache(settings, kind);
    const std::string small = cache.write("/small.txt", 700);
    const std::string large = cache.write("/large.txt", 70'000);
    for (int round = 0; round < 3; ++round) {
      for (const auto& [name, content] : {std::pair("/small.txt", small), std::pair("/large.txt", large)}) {
        Pin pin(cache);
        CacheUse use;
        const bool hit = cache.files->find(name, cache.now_ms, pin.slot, &use);
        // A known name is enough where the file need only be opened again, and its contents not be read.
        const bool keeps_files = settings.files && kind != BodyKind::uncached;
        const bool opens_again = cache.strategy.keeps(content.size()) != BodyStrategy::Keep::contents;
        CHECK(hit == (round > 0 && settings.paths && (keeps_files || opens_again)));
        if (!hit) REQUIRE(cache.files->load(name, cache.now_ms, pin.slot, &use) == 200);
        const auto expected = [&](bool is_on, bool is_found) {
          return !is_on ? CacheUse::Of::unused : is_found ? CacheUse::Of::hit : CacheUse::Of::miss;
        };
        CHECK(use.path == expected(settings.paths, hit));
        // Something is listed, and with it the head, as soon as one of the three is kept.
        CHECK(use.head == expected(settings.heads, round > 0));
        CHECK(use.file == expected(keeps_files, round > 0));
        CHECK(bytes_of(*pin.slot.file) == content);
        CHECK(pin->name == name);
        CHECK(pin->head.empty() == !settings.heads);
        if (settings.heads) CHECK(std::string_view(pin->head) == file_head(name, content.size(), pin->mtime_ns));
      }
    }
    // The file's bytes changed: no combination goes on with the old head or the old bytes once it has looked.
    cache.now_ms += settings.valid_ms + 1;
    const std::string changed = cache.write("/small.txt", 650);
    Pin pin(cache);
    REQUIRE_FALSE(cache.files->find("/small.txt", cache.now_ms, pin.slot));
    REQUIRE(cache.files->load("/small.txt", cache.now_ms, pin.slot) == 200);
    CHECK(bytes_of(*pin.slot.file) == changed);
    if (settings.heads) CHECK(std::string_view(pin->head) == file_head("/small.txt", 650, pin->mtime_ns));
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("an aligned head begins and ends at a multiple of 32 bytes, whatever its length") {
  FileCache::Settings settings;
  settings.align_heads = true;
  Cache cache(settings);
  for (int i = 0; i < 40; ++i) {
    std::string name(static_cast<std::size_t>(i) + 1, 'n');
    name.insert(0, "/").append(".html");
    cache.write(name, static_cast<std::size_t>(1) << (i % 12));
    Pin pin(cache);
    REQUIRE(cache.files->load(name, cache.now_ms, pin.slot) == 200);
    CHECK(reinterpret_cast<std::uintptr_t>(pin->head.data()) % 32 == 0);
    CHECK(pin->head.size() % 32 == 0);
    CHECK(pin->head.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(pin->head.ends_with("\r\n"));
  }
}

TEST_CASE("the entry used longest ago gives way when there are too many") {
  FileCache::Settings settings;
  settings.entries = 3;
  Cache cache(settings);
  for (const char* name : {"/a", "/b", "/c", "/d"}) cache.write(name, 10);
  for (const char* name : {"/a", "/b", "/c"}) cache.load_and_unpin(name);
  CHECK(cache.is_cached("/a"));  // used again: now /b is the oldest
  cache.load_and_unpin("/d");
  CHECK_FALSE(cache.is_cached("/b"));
  CHECK(cache.is_cached("/c"));
  CHECK(cache.is_cached("/a"));
  CHECK(cache.is_cached("/d"));
}

TEST_CASE("the bound on bytes counts contents and mappings, not open files") {
  FileCache::Settings settings;
  settings.bytes = 2000;
  SECTION("contents") {
    Cache cache(settings, BodyKind::buffer);
    for (const char* name : {"/a", "/b", "/c"}) cache.write(name, 900);
    for (const char* name : {"/a", "/b", "/c"}) cache.load_and_unpin(name);
    CHECK_FALSE(cache.is_cached("/a"));
    CHECK(cache.is_cached("/b"));
    CHECK(cache.is_cached("/c"));
    cache.write("/exact", 2000);
    cache.load_and_unpin("/exact");
    CHECK(cache.is_cached("/exact"));
    CHECK_FALSE(cache.is_cached("/b"));
    CHECK_FALSE(cache.is_cached("/c"));
  }
  SECTION("mappings") {
    Cache cache(settings, BodyKind::mmap);
    for (const char* name : {"/a", "/b", "/c"}) cache.write(name, 900);
    for (const char* name : {"/a", "/b", "/c"}) cache.load_and_unpin(name);
    CHECK_FALSE(cache.is_cached("/a"));
    CHECK(cache.is_cached("/c"));
  }
  SECTION("descriptors") {
    Cache cache(settings, BodyKind::sendfile);
    for (const char* name : {"/a", "/b", "/c"}) cache.write(name, 900);
    for (const char* name : {"/a", "/b", "/c"}) cache.load_and_unpin(name);
    CHECK(cache.is_cached("/a"));
    CHECK(cache.is_cached("/b"));
    CHECK(cache.is_cached("/c"));
  }
}

TEST_CASE("a file larger than the cache is served and drives nothing out") {
  FileCache::Settings settings;
  settings.bytes = 2000;
  const BodyKind kind = GENERATE(BodyKind::buffer, BodyKind::mmap);
  Cache cache(settings, kind);
  cache.write("/small", 500);
  const std::string content = cache.write("/large", 2001);
  cache.load_and_unpin("/small");
  {
    Pin pin(cache);
    REQUIRE(cache.files->load("/large", cache.now_ms, pin.slot) == 200);
    CHECK(bytes_of(*pin.slot.file) == content);
  }
  CHECK_FALSE(cache.is_cached("/large"));
  CHECK(cache.is_cached("/small"));
}

TEST_CASE("a cache of no entries serves all the same") {
  FileCache::Settings settings;
  settings.entries = 0;
  const BodyKind kind = GENERATE(from_range(body_kinds));
  const std::ptrdiff_t before = open_descriptors();
  {
    Cache cache(settings, kind);
    const std::string content = cache.write("/a", 5000);
    for (int round = 0; round < 2; ++round) {
      Pin pin(cache);
      REQUIRE(cache.files->load("/a", cache.now_ms, pin.slot) == 200);
      CHECK(bytes_of(*pin.slot.file) == content);
    }
    CHECK_FALSE(cache.is_cached("/a"));
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("a pin keeps what the cache has dropped alive, and no longer than that") {
  const BodyKind kind = GENERATE(BodyKind::sendfile, BodyKind::mmap, BodyKind::buffer);
  CAPTURE(name_of(kind));
  FileCache::Settings settings;
  settings.entries = 1;
  Cache cache(settings, kind);
  const std::string content = cache.write("/a", 5000);
  cache.write("/b", 5000);
  const std::ptrdiff_t before = open_descriptors();
  PinSlot first;
  PinSlot second;
  REQUIRE(cache.files->load("/a", cache.now_ms, first) == 200);
  REQUIRE(cache.files->find("/a", cache.now_ms, second));
  cache.load_and_unpin("/b");
  CHECK_FALSE(cache.is_cached("/a"));
  CHECK(bytes_of(*first.file) == content);
  cache.files->unpin(first);
  CHECK(first.file == nullptr);
  CHECK(bytes_of(*second.file) == content);
  cache.files->unpin(second);
  CHECK(open_descriptors() == before + (kind == BodyKind::sendfile ? 1 : 0));  // that of /b
}

TEST_CASE("an invalidated entry is found no more, and its pins hold") {
  Cache cache;
  const std::string content = cache.write("/a", 5000);
  PinSlot slot;
  REQUIRE(cache.files->load("/a", cache.now_ms, slot) == 200);
  cache.files->invalidate(slot);
  CHECK_FALSE(cache.is_cached("/a"));
  CHECK(bytes_of(*slot.file) == content);
  cache.files->invalidate(slot);  // two connections may find out
  cache.load_and_unpin("/a");
  cache.files->invalidate(slot);  // not its successor's business
  CHECK(cache.is_cached("/a"));
  cache.files->unpin(slot);
  CHECK(cache.is_cached("/a"));
}

TEST_CASE("a file is looked at again once its entry is no longer valid") {
  const BodyKind kind = GENERATE(BodyKind::automatic, BodyKind::sendfile, BodyKind::mmap, BodyKind::buffer);
  CAPTURE(name_of(kind));
  FileCache::Settings settings;
  settings.valid_ms = 1000;
  Cache cache(settings, kind);
  const std::string content = cache.write("/a", 5000);
  PinSlot old;
  REQUIRE(cache.files->load("/a", cache.now_ms, old) == 200);

  cache.now_ms += 1000;
  CHECK(cache.is_cached("/a"));
  cache.now_ms += 1;
  CHECK_FALSE(cache.is_cached("/a"));

  SECTION("unchanged: the entry goes on") {
    PinSlot again;
    REQUIRE(cache.files->load("/a", cache.now_ms, again) == 200);
    CHECK(again.file == old.file);
    cache.files->unpin(again);
    cache.now_ms += 1000;
    CHECK(cache.is_cached("/a"));
  }
  SECTION("replaced by another of the same size: who sends the old one goes on with it") {
    const std::string changed(5000, 'x');
    cache.directory.replace("a", changed);
    PinSlot fresh;
    REQUIRE(cache.files->load("/a", cache.now_ms, fresh) == 200);
    CHECK(bytes_of(*fresh.file) == changed);
    CHECK(bytes_of(*old.file) == content);
    cache.files->unpin(fresh);
  }
  SECTION("truncated") {
    REQUIRE(::truncate((cache.directory.path() / "a").c_str(), 100) == 0);
    PinSlot fresh;
    REQUIRE(cache.files->load("/a", cache.now_ms, fresh) == 200);
    CHECK(bytes_of(*fresh.file) == content.substr(0, 100));
    cache.files->unpin(fresh);
  }
  SECTION("deleted") {
    std::filesystem::remove(cache.directory.path() / "a");
    CHECK(cache.load_and_unpin("/a") == 404);
    CHECK_FALSE(cache.is_cached("/a"));
  }
  SECTION("made unreadable by becoming a directory") {
    std::filesystem::remove(cache.directory.path() / "a");
    std::filesystem::create_directory(cache.directory.path() / "a");
    CHECK(cache.load_and_unpin("/a") == 301);
  }
  cache.files->unpin(old);
}

TEST_CASE("a cache that is valid for ever never looks again") {
  FileCache::Settings settings;
  settings.valid_ms = 0;
  Cache cache(settings);
  cache.write("/a", 10);
  cache.load_and_unpin("/a");
  cache.now_ms += 1'000'000'000'000;
  CHECK(cache.is_cached("/a"));
}

TEST_CASE("shedding closes the descriptors that nobody uses, the oldest first") {
  Cache cache({}, BodyKind::automatic);
  for (const char* name : {"/a", "/b", "/c", "/d"}) cache.write(name, 5000);
  cache.write("/in-memory", 10);
  PinSlot used;
  REQUIRE(cache.files->load("/a", cache.now_ms, used) == 200);
  for (const char* name : {"/in-memory", "/b", "/c", "/d"}) cache.load_and_unpin(name);
  const std::ptrdiff_t before = open_descriptors();
  cache.files->evict(2);
  CHECK(open_descriptors() == before - 2);
  CHECK(cache.is_cached("/a"));
  CHECK(cache.is_cached("/in-memory"));
  CHECK(cache.is_cached("/d"));
  CHECK_FALSE(cache.is_cached("/b"));
  CHECK_FALSE(cache.is_cached("/c"));
  cache.files->evict(100);
  CHECK(open_descriptors() == before - 3);
  CHECK(bytes_of(*used.file).size() == 5000);
  cache.files->unpin(used);
  cache.files->evict(100);
  CHECK(open_descriptors() == before - 4);
}

TEST_CASE("two loads of one name leave one entry, and both serve") {
  const BodyKind kind = GENERATE(BodyKind::sendfile, BodyKind::mmap, BodyKind::buffer);
  FileCache::Settings settings;
  settings.entries = 4;
  Cache cache(settings, kind, std::make_unique<ThreadLock>());
  const std::string content = cache.write("/a", 3000);
  const std::ptrdiff_t before = open_descriptors();
  constexpr int rounds = 50;
  std::barrier both(2);
  std::array<PinSlot, 2> slots;
  std::array<int, 2> statuses{};
  const auto load = [&](std::size_t i) {
    both.arrive_and_wait();
    statuses[i] = cache.files->load("/a", cache.now_ms, slots[i]);
    both.arrive_and_wait();
  };
  std::jthread other([&] {
    for (int round = 0; round < rounds; ++round) load(1);
  });
  for (int round = 0; round < rounds; ++round) {
    load(0);
    CHECK(statuses == std::array{200, 200});
    PinSlot listed;
    CHECK(cache.files->find("/a", cache.now_ms, listed));
    CHECK((listed.file == slots[0].file || listed.file == slots[1].file));
    for (const PinSlot& slot : slots) CHECK(bytes_of(*slot.file) == content);
    cache.files->invalidate(listed);
    cache.files->unpin(listed);
    for (PinSlot& slot : slots) cache.files->unpin(slot);
    CHECK(open_descriptors() == before);
  }
}

TEST_CASE("threads that share a cache find the right bytes and leave nothing behind") {
  const BodyKind kind = GENERATE(from_range(body_kinds));
  CAPTURE(name_of(kind));
  const std::ptrdiff_t before = open_descriptors();
  {
    FileCache::Settings settings;
    settings.entries = 5;  // fewer than files: entries come and go all the time
    settings.bytes = 6000;
    settings.valid_ms = 2;
    Cache cache(settings, kind, std::make_unique<ThreadLock>());
    std::vector<std::string> names;
    std::vector<std::string> contents;
    for (int i = 0; i < 8; ++i) {
      names.push_back("/file" + std::to_string(i));
      contents.push_back(cache.write(names.back(), 400 + 250 * static_cast<std::size_t>(i)));
    }
    const std::ptrdiff_t without_files = open_descriptors();
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < 4; ++number) {
      threads.emplace_back([&, number] {
        unsigned state = number * 7919 + 1;
        for (std::int64_t now_ms = 0; now_ms < 1500; ++now_ms) {
          state = state * 1664525 + 1013904223;
          const std::size_t i = (state >> 16) % names.size();
          PinSlot slot;
          if (!cache.files->find(names[i], now_ms, slot) && cache.files->load(names[i], now_ms, slot) != 200) {
            ++wrong;
            continue;
          }
          if (slot.file->name != std::string_view(names[i]) || bytes_of(*slot.file) != contents[i]) ++wrong;
          if (state % 97 == 0) cache.files->invalidate(slot);
          if (state % 101 == 0) cache.files->evict(2);
          cache.files->unpin(slot);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    cache.files->evict(1000);
    CHECK(open_descriptors() == without_files);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("a file longer than the cache takes no memory of its size") {
  Cache cache({}, BodyKind::buffer);
  const std::string path = (cache.directory.path() / "huge").string();
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0);
  const bool made = ::ftruncate(fd, off_t{1} << 42) == 0;  // a hole: it takes no room
  ::close(fd);
  const std::ptrdiff_t before = open_descriptors();
  if (made) {
    Pin pin(cache);
    CHECK(cache.files->load("/huge", cache.now_ms, pin.slot) == 200);
    CHECK(pin->bytes.memory == nullptr);
    CHECK(pin->bytes.fd >= 0);
    CHECK_FALSE(cache.is_cached("/huge"));
  }
  CHECK(open_descriptors() == before);
}

namespace {

// A lock that knows whether it is held, and a table of descriptors that asks it.
class WatchedLock final : public Lock {
 public:
  Taken lock() override {
    held = true;
    return Taken::clean;
  }
  void unlock() override { held = false; }
  bool held = false;
};

struct WatchedMemory final : CacheMemory, DescriptorTable {
  explicit WatchedMemory(std::size_t most_entries) : table_(std::pmr::new_delete_resource(), most_entries, 1) {}
  Lock& lock() override { return lock_; }
  std::pmr::memory_resource* heap() override { return &heap_; }
  CacheTable* table() override { return &table_; }
  void discard() override { FAIL("nobody died"); }
  DescriptorTable& descriptors() override { return *this; }
  bool is_shared() const override { return false; }
  bool is_shared(const CachedFile*) const override { return false; }

  void note(int) override {}
  void note_cached(int, std::uint32_t) override {}
  void close(int fd) override {
    CHECK_FALSE(lock_.held);
    ++closed;
    ::close(fd);
  }
  PinSlot& pin_of(int, PinSlot& own) override { return own; }
  int closed = 0;

 private:
  struct Heap final : std::pmr::memory_resource {
    explicit Heap(WatchedLock& its_lock) : lock(its_lock) {}
    void* do_allocate(std::size_t bytes, std::size_t alignment) override {
      CHECK_FALSE(lock.held);
      return std::pmr::new_delete_resource()->allocate(bytes, alignment);
    }
    void do_deallocate(void* piece, std::size_t bytes, std::size_t alignment) override {
      CHECK_FALSE(lock.held);
      std::pmr::new_delete_resource()->deallocate(piece, bytes, alignment);
    }
    bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
    WatchedLock& lock;
  };
  void enter() override {}
  void leave() override {}

  WatchedLock lock_;
  Heap heap_{lock_};
  CacheTable table_;
};

}  // namespace

TEST_CASE("nothing is copied, freed, unmapped or closed while the lock is held") {
  const BodyKind kind = GENERATE(BodyKind::automatic, BodyKind::sendfile, BodyKind::mmap, BodyKind::buffer);
  const bool keeps_files = GENERATE(true, false);
  CAPTURE(name_of(kind), keeps_files);
  const TempDir directory;
  for (int i = 0; i < 30; ++i)
    directory.write(std::to_string(i), test_content("x", 900 + 10 * static_cast<std::size_t>(i)));
  FileCache::Settings settings;
  settings.entries = 8;
  settings.bytes = 5000;
  settings.files = keeps_files;
  const std::ptrdiff_t before = open_descriptors();
  {
    const DocumentRoot root(directory.path().string());
    const BodyStrategy strategy(kind, auto_limit_bytes);
    WatchedMemory memory(settings.entries);
    {
      FileCache files(settings, root, strategy, memory);
      PinSlot held;
      for (int i = 0; i < 90; ++i) {
        const std::string name = "/" + std::to_string(i % 30);
        if (i == 60) directory.write("5", "another");  // an entry that is no longer what the file is
        PinSlot slot;
        if (!files.find(name, 1'000'000 + i * 10'000, slot))
          REQUIRE(files.load(name, 1'000'000 + i * 10'000, slot) == 200);
        if (held.file != nullptr) files.unpin(held);
        held = slot;
      }
      files.invalidate(held);
      files.unpin(held);
      files.evict(4);
    }
    CHECK((memory.closed > 0) == (kind == BodyKind::automatic || kind == BodyKind::sendfile));
  }
  CHECK(open_descriptors() == before);
}
