#include "core/files/body.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.h"
#include "tests/core/files/cached_bytes.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;
using bakeoff::test::body_kinds;
using bakeoff::test::TempDir;
using bakeoff::test::test_content;

namespace {

constexpr std::size_t size = 20'000;

// A file in each of the forms that a cache keeps.
struct TestFile {
  TestFile() : content(test_content("file", size)) {
    directory.write("file", content);
    fd = ::open((directory.path() / "file").c_str(), O_RDONLY | O_CLOEXEC);
    mapping = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    REQUIRE(fd >= 0);
    REQUIRE(mapping != MAP_FAILED);
  }
  ~TestFile() {
    ::munmap(mapping, size);
    ::close(fd);
  }
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;

  FileBytes bytes(BodyStrategy::Keep keep) const {
    FileBytes bytes;
    bytes.size_bytes = size;
    switch (keep) {
      case BodyStrategy::Keep::descriptor: bytes.fd = fd; break;
      case BodyStrategy::Keep::contents: bytes.memory = content.data(); break;
      case BodyStrategy::Keep::mapping:
        bytes.memory = static_cast<const char*>(mapping);
        bytes.mapped = true;
        break;
    }
    return bytes;
  }

  TempDir directory;
  std::string content;
  int fd = -1;
  void* mapping = nullptr;
};

struct SocketPair {
  explicit SocketPair(int send_buffer_bytes = 0) {
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    if (send_buffer_bytes > 0)
      ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes, sizeof send_buffer_bytes);
  }
  ~SocketPair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;

  std::string take(std::size_t most) const {
    std::string piece(most, '\0');
    const ssize_t got = ::recv(ends[1], piece.data(), piece.size(), 0);
    piece.resize(static_cast<std::size_t>(std::max<ssize_t>(0, got)));
    return piece;
  }

  int ends[2];
};

}  // namespace

TEST_CASE("a strategy says what it wants kept of a file") {
  using Keep = BodyStrategy::Keep;
  CHECK(BodyStrategy(BodyKind::automatic, 100).keeps(100) == Keep::contents);
  CHECK(BodyStrategy(BodyKind::automatic, 100).keeps(101) == Keep::descriptor);
  CHECK(BodyStrategy(BodyKind::sendfile, 100).keeps(1) == Keep::descriptor);
  CHECK(BodyStrategy(BodyKind::uncached, 100).keeps(1) == Keep::descriptor);
  CHECK(BodyStrategy(BodyKind::mmap, 100).keeps(1) == Keep::mapping);
  CHECK(BodyStrategy(BodyKind::buffer, 100).keeps(std::uint64_t{1} << 40) == Keep::contents);
  for (const BodyKind kind : body_kinds) CHECK(BodyStrategy(kind, 100).keeps(0) == Keep::contents);
}

TEST_CASE("whatever the socket takes at once, what is sent is head and body in their order") {
  const TestFile file;
  const BodyKind kind = GENERATE(from_range(body_kinds));
  const std::uint64_t auto_limit_bytes = GENERATE(100u, 100'000u);
  const int buffer_bytes = GENERATE(0, 1);
  CAPTURE(name_of(kind), auto_limit_bytes, buffer_bytes);
  const BodyStrategy strategy(kind, auto_limit_bytes);
  const FileBytes bytes = file.bytes(strategy.keeps(size));
  const SocketPair pair(buffer_bytes);
  std::array<char, 3000> scratch;

  const std::uint64_t begin = 17;
  const std::uint64_t end = size - 5;
  std::string head = "the head, ";
  std::string more_head = "and its end ";
  const std::string expected = head + more_head + file.content.substr(begin, end - begin);
  std::string heard;
  std::uint64_t offset = begin;
  for (int steps = 0; steps < 10'000 && offset < end; ++steps) {
    std::vector<std::string_view> pieces;
    if (!head.empty()) pieces.push_back(head);
    if (!more_head.empty()) pieces.push_back(more_head);
    const ssize_t sent = strategy.send(pair.ends[0], pieces, bytes, offset, end - offset, scratch);
    if (sent < 0) {
      REQUIRE(errno == EAGAIN);
      heard += pair.take(700);
      continue;
    }
    REQUIRE(sent > 0);
    std::size_t left = static_cast<std::size_t>(sent);
    for (std::string* piece : {&head, &more_head}) {
      const std::size_t taken = std::min(left, piece->size());
      piece->erase(0, taken);
      left -= taken;
    }
    offset += left;
  }
  for (std::string piece; !(piece = pair.take(size)).empty();) heard += piece;
  CHECK(heard == expected);
}

TEST_CASE("without a body the head alone is sent") {
  const TestFile file;
  const BodyStrategy strategy(GENERATE(from_range(body_kinds)), 100);
  const SocketPair pair;
  const std::array<std::string_view, 1> head = {"head"};
  CHECK(strategy.send(pair.ends[0], head, {}, 0, 0, {}) == 4);
  CHECK(strategy.send(pair.ends[0], head, file.bytes(strategy.keeps(size)), 5, 0, {}) == 4);
  CHECK(pair.take(100) == "headhead");
}

TEST_CASE("a file that ends too early is told from a socket that is full") {
  const TestFile file;
  const BodyKind kind = GENERATE(BodyKind::sendfile, BodyKind::uncached);
  const BodyStrategy strategy(kind, 100);
  const FileBytes bytes = file.bytes(BodyStrategy::Keep::descriptor);
  const SocketPair pair;
  std::array<char, 3000> scratch;
  const std::array<std::string_view, 1> head = {"head"};
  CHECK(strategy.send(pair.ends[0], {}, bytes, size, 100, scratch) == 0);
  CHECK(strategy.send(pair.ends[0], head, bytes, size, 100, scratch) == 4);
  CHECK(strategy.send(pair.ends[0], {}, bytes, size - 10, 100, scratch) == 10);
  CHECK(pair.take(100) == "head" + file.content.substr(size - 10));
}

TEST_CASE("sending to who has gone is an error, not a signal") {
  const TestFile file;
  const BodyKind kind = GENERATE(BodyKind::mmap, BodyKind::buffer, BodyKind::uncached);
  const BodyStrategy strategy(kind, 100);
  SocketPair pair;
  ::close(std::exchange(pair.ends[1], ::dup(pair.ends[0])));
  std::array<char, 3000> scratch;
  CHECK(strategy.send(pair.ends[0], {}, file.bytes(strategy.keeps(size)), 0, size, scratch) == -1);
  CHECK(errno == EPIPE);
}
