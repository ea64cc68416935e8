// What happens when an allocation fails: each one of a request in turn, in every form that a request can have.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/connection.h"
#include "core/files/shared_cache.h"
#include "core/files/shared_descriptor_table.h"
#include "core/workers/helper_pool.h"
#include "tests/catch.h"
#include "tests/core/server_bench.h"

namespace {

// Allocations of this thread that still succeed; negative: all.
thread_local long left = -1;
thread_local bool failed = false;

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (left >= 0 && left-- == 0) {
    failed = true;
    throw std::bad_alloc();
  }
  void* const memory = alignment == 0 ? std::malloc(bytes)
                                      : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes == 0 ? 1 : bytes, 0); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes == 0 ? 1 : bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return operator new(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

using namespace bakeoff;
using namespace bakeoff::test;

namespace {

// Calls step() with the allocation after `allocations` failing; how many it left.
template <class Step>
auto with_failure(long& allocations, Step step) {
  left = allocations;
  auto result = step();
  allocations = left;
  left = -1;
  return result;
}

// Serves what the client has said, as an event loop would, with the n-th allocation of all steps failing.
Want serve(Line& line, Bench& bench, long n) {
  failed = false;
  for (int steps = 0; steps < 100'000; ++steps) {
    const Want want = with_failure(n, [&] { return line.connection().advance(bench.worker); });
    if (failed) n = -1;
    const bool took = line.take();
    if (want == Want::close || want == Want::readable || (want == Want::writable && !took)) return want;
    if (want == Want::timer) {
      bench.clock.pass(10);
      continue;
    }
  }
  throw std::runtime_error("the connection never comes to rest");
}

}  // namespace

TEST_CASE("whichever allocation of a request fails, its connection is served or ended, and no other") {
  struct Case {
    BodyKind body;
    bool paths, heads, files;
    Sharing sharing;
  };
  const Case one = GENERATE(Case{BodyKind::automatic, true, true, true, Sharing::nobody},
                            Case{BodyKind::sendfile, true, true, true, Sharing::threads},
                            Case{BodyKind::buffer, true, true, true, Sharing::nobody},
                            Case{BodyKind::mmap, true, false, true, Sharing::nobody},
                            Case{BodyKind::automatic, false, false, false, Sharing::nobody},
                            Case{BodyKind::buffer, true, true, false, Sharing::threads},
                            Case{BodyKind::uncached, true, true, true, Sharing::nobody},
                            Case{BodyKind::automatic, true, true, true, Sharing::processes},
                            Case{BodyKind::buffer, true, true, true, Sharing::processes});
  CAPTURE(name_of(one.body), one.paths, one.heads, one.files, static_cast<int>(one.sharing));
  Options options = bench_options();
  options.body = one.body;
  options.cache_paths = one.paths;
  options.cache_heads = one.heads;
  options.cache_files = one.files;
  options.cache_valid_ms = 1000;
  options.cache_bytes = 1 << 20;
  options.workers = 2;
  options.dynamic = true;
  const std::ptrdiff_t descriptors = open_descriptors();
  {
    Bench bench(options, one.sharing);
    if (one.sharing == Sharing::processes) {
      ProcessLock::register_process();
      bench.server.shared_descriptors().adopt_open_descriptors();
      bench.server.shared_descriptors().i_am(1);
    }
    const std::string small = bench.write("/small.txt", 600);
    const std::string large = bench.write("/dir/large.txt", 200'000);
    bench.write("/index.html", 100);
    const std::string requests[] = {
        get("/small.txt"),
        get("/dir/large.txt"),
        get("/x/../dir/./l%61rge.txt?query-that-is-longer-than-what-a-string-holds-itself"),
        get("/"),
        get("/dir"),
        get("/missing-and-longer-than-what-a-string-holds-itself"),
        get("/small.txt", "If-None-Match: *\r\n"),
        get("/small.txt", "If-Match: \"another\"\r\n"),
        get("/small.txt") + get("/dir/large.txt") + get("/small.txt").substr(0, 30),
        get("/small.txt").substr(0, 20),
        get("/small.txt", "Connection: close\r\n"),
        get("/dynamic/burn-0us/wait-5ms/size-100000"),
        "nonsense that is refused\r\n\r\n",
        get("/small.txt", "", "DELETE"),
    };
    for (const std::string& request : requests) {
      CAPTURE(request);
      for (long n = 0;; ++n) {
        CAPTURE(n);
        REQUIRE(n < 1000);
        bench.clock.pass(n % 3 == 0 ? 2000 : 1);  // so that what is cached is looked at again, now and then
        const std::uint64_t before = bench.stats.closed_no_memory.get();
        bool ended_for_memory = false;
        {
          Line line(bench, 4096);
          line.say(request);
          const Want want = serve(line, bench, n);
          ended_for_memory = failed && want == Want::close && bench.stats.closed_no_memory.get() > before;
          if (!ended_for_memory && request.size() > 30) {
            const Reply reply = line.reply();
            REQUIRE((reply.status != 200 || reply.body == small || reply.body == large || reply.body.size() == 100 ||
                     reply.body.size() == 100'000));
            REQUIRE((!failed || reply.status != 500));
          }
        }
        REQUIRE(bench.stats.closed_no_memory.get() == before + (ended_for_memory ? 1 : 0));
        if (!failed) break;  // the request has fewer allocations than that
      }
      bench.clock.pass(2000);
      Line after(bench);
      REQUIRE((after.ask(get("/small.txt")).body == small));
      REQUIRE((after.ask(get("/dir/large.txt")).body == large));
    }
  }
  // What processes share is not closed by one of them.
  if (one.sharing != Sharing::processes) CHECK(open_descriptors() == descriptors);
}

TEST_CASE("a connection that is no more than a socket yet is closed when there is no memory for it") {
  Bench bench;
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  long none = 0;
  CHECK(with_failure(none, [&] { return Connection::make(ends[1], bench.worker); }) == nullptr);
  CHECK(bench.stats.closed_no_memory.get() == 1);
  char byte;
  CHECK(::recv(ends[0], &byte, 1, 0) == 0);
  ::close(ends[0]);
}

TEST_CASE("a job that there is no memory for is not taken, and those that are come back") {
  const HelperKind kind = GENERATE(HelperKind::processes, HelperKind::threads);
  Bench bench;
  bench.write("/a", 1000);
  const auto pool = make_helper_pool(kind, 2, bench.server.root().fd());
  std::set<int> watched;
  pool->attach([&](int fd) { watched.insert(fd); }, [&](int fd) { watched.erase(fd); });
  DiskJob job{};
  job.path_bytes = 1;
  job.path[0] = 'a';
  job.length = 1000;
  std::set<HelperPool::Token> taken, back;
  for (HelperPool::Token token = 0; token < 200; ++token) {
    long n = static_cast<long>(token % 10);
    left = n;
    try {
      pool->submit(job, token);
      left = -1;
      taken.insert(token);
    } catch (const std::bad_alloc&) {
      left = -1;
    }
  }
  CHECK(taken.size() >= 100);
  int calls = 0;
  while (back.size() < taken.size()) {
    std::vector<pollfd> ready;
    for (const int fd : watched) ready.push_back({fd, POLLIN, 0});
    REQUIRE(::poll(ready.data(), ready.size(), 20'000) > 0);
    for (const pollfd& one : ready) {
      if (one.revents == 0) continue;
      left = static_cast<long>(calls++ % 3);
      try {
        pool->collect(one.fd, [&](HelperPool::Token token) {
          const long kept = std::exchange(left, -1);
          CHECK(back.insert(token).second);
          left = kept;
        });
      } catch (const std::bad_alloc&) {
      }
      left = -1;
    }
  }
  CHECK(back == taken);
}
