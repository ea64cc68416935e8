#include "core/sharing/shared_memory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <memory_resource>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "core/base/errors.h"
#include "tests/catch.h"

using bakeoff::SharedHeap;
using bakeoff::SharedRegion;

namespace {

std::size_t resident_bytes_of_shared_memory() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  std::size_t shared = 0;
  statm >> size >> resident >> shared;
  return shared * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

template <class Body>
bool done_by_another_process(Body body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body() ? 0 : 1);
  int status = 1;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("a shared region is seen by every process and costs memory only where it is touched") {
  constexpr std::size_t mebibyte = 1 << 20;
  const std::size_t before = resident_bytes_of_shared_memory();
  SharedRegion region(64 * mebibyte + 1);
  CHECK(region.bytes() > 64 * mebibyte);
  CHECK(region.bytes() < 65 * mebibyte);
  CHECK(resident_bytes_of_shared_memory() < before + 4 * mebibyte);

  auto* bytes = static_cast<unsigned char*>(region.data());
  CHECK(done_by_another_process([&] {
    std::memset(bytes, 7, 32 * mebibyte);
    return true;
  }));
  std::size_t sevens = 0;
  for (std::size_t i = 0; i < 32 * mebibyte; i += 4096) sevens += bytes[i] == 7;
  CHECK(sevens == 32 * mebibyte / 4096);
  CHECK(resident_bytes_of_shared_memory() > before + 30 * mebibyte);

  region.forget_contents();
  CHECK(resident_bytes_of_shared_memory() < before + 4 * mebibyte);
  CHECK(bytes[4096] == 0);
  CHECK(done_by_another_process([&] { return bytes[8192] == 0; }));
}

TEST_CASE("more shared memory than there are addresses is refused") {
  CHECK_THROWS_AS(SharedRegion(std::size_t{1} << 60), bakeoff::StartError);
}

TEST_CASE("a shared heap hands out pieces of its region that do not overlap") {
  SharedRegion region(1 << 20);
  SharedHeap heap(region);
  const auto* first = static_cast<std::byte*>(region.data());
  std::mt19937 random(1);
  struct Piece {
    std::size_t bytes;
    std::size_t alignment;
    unsigned char mark;
  };
  std::map<unsigned char*, Piece> pieces;
  const std::size_t free_at_start = heap.free_bytes();
  const auto give_back = [&](auto piece) {
    const auto [start, known] = *piece;
    REQUIRE(std::all_of(start, start + known.bytes, [mark = known.mark](unsigned char byte) { return byte == mark; }));
    heap.deallocate(start, known.bytes, known.alignment);
    pieces.erase(piece);
  };
  for (int i = 0; i < 5000; ++i) {
    if (pieces.size() > 100) give_back(std::next(pieces.begin(), static_cast<long>(random() % pieces.size())));
    const Piece piece{1 + random() % 5000, std::size_t{1} << random() % 9, static_cast<unsigned char>(random())};
    auto* start = static_cast<unsigned char*>(heap.allocate(piece.bytes, piece.alignment));
    REQUIRE(reinterpret_cast<std::uintptr_t>(start) % piece.alignment == 0);
    REQUIRE(reinterpret_cast<std::byte*>(start) >= first);
    REQUIRE(reinterpret_cast<std::byte*>(start) + piece.bytes <= first + region.bytes());
    std::memset(start, piece.mark, piece.bytes);
    pieces.emplace(start, piece);
  }
  CHECK(heap.free_bytes() < free_at_start);
  while (!pieces.empty()) give_back(pieces.begin());
  CHECK(heap.free_bytes() == free_at_start);
}

TEST_CASE("a full shared heap throws and goes on once something is given back") {
  SharedRegion region(256 * 1024);
  SharedHeap heap(region);
  std::vector<void*> pieces;
  const auto fill = [&] {
    while (true) pieces.push_back(heap.allocate(10'000));
  };
  CHECK_THROWS_AS(fill(), std::bad_alloc);
  CHECK(pieces.size() > 20);
  CHECK(heap.free_bytes() < 2 * 10'000);
  heap.deallocate(pieces.back(), 10'000);
  pieces.pop_back();
  CHECK_THROWS_AS(fill(), std::bad_alloc);
  CHECK_THROWS_AS(heap.allocate(std::size_t{1} << 62), std::bad_alloc);
}

TEST_CASE("processes allocate from one heap and free each other's pieces") {
  SharedRegion region(1 << 20);
  SharedHeap heap(region);
  using Words = std::pmr::vector<std::pmr::string>;
  auto* words = new (heap.allocate(sizeof(Words), alignof(Words))) Words(&heap);
  const std::size_t free_before = heap.free_bytes();
  CHECK(done_by_another_process([&] {
    for (int i = 0; i < 100; ++i)
      words->emplace_back("a word too long for the string itself, number " + std::to_string(i));
    return true;
  }));
  REQUIRE(words->size() == 100);
  CHECK(words->back() == "a word too long for the string itself, number 99");
  CHECK(heap.free_bytes() < free_before);
  CHECK(done_by_another_process([&] {
    words->clear();
    words->shrink_to_fit();
    return true;
  }));
  CHECK(heap.free_bytes() == free_before);
}

TEST_CASE("a reset heap is empty whatever was written over its state") {
  SharedRegion region(1 << 20);
  SharedHeap heap(region);
  const std::size_t free_at_start = heap.free_bytes();
  static_cast<void>(heap.allocate(1000));
  std::memset(region.data(), 0xa5, region.bytes());  // as a process killed inside the heap may leave it, only worse
  heap.reset();
  CHECK(heap.free_bytes() == free_at_start);
  void* piece = heap.allocate(free_at_start / 2);
  std::memset(piece, 1, free_at_start / 2);
  heap.deallocate(piece, free_at_start / 2);
  CHECK(heap.free_bytes() == free_at_start);
}
