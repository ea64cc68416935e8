// How a response's body leaves the process. One strategy per server run, chosen at start-up:
//   sendfile  from a cached open descriptor           (µserver, Knot-nb/-b, WatPipe: Pariag 2007, sections 4.3, 5.1, 6)
//   mmap      writev of head and mapped file          (Flash: Pai 1999)
//   buffer    write from a user-level cache of contents (Knot-c: Pariag 2007, section 4.2); a file too long for that
//             cache by read and write, piece by piece
//   uncached  read and write, nothing kept            (Apache without options)
//   auto      small bodies from a user-level buffer in the same call as the head, large ones by sendfile
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace bakeoff {

enum class BodyKind : std::uint8_t { automatic, sendfile, mmap, buffer, uncached };

std::string_view name_of(BodyKind kind);

// Where a file's bytes come from; a cache entry keeps what the strategy needs.
struct FileBytes {
  int fd = -1;                   // -1: no descriptor is kept
  const char* memory = nullptr;  // whole file in user memory, mapped or copied; nullptr: not kept
  bool mapped = false;           // memory is a mapping: its pages may have to come from the disk
  std::uint64_t size_bytes = 0;
};

class BodyStrategy {
 public:
  // auto_limit_bytes: the largest body that `automatic` keeps in user memory.
  BodyStrategy(BodyKind kind, std::uint64_t auto_limit_bytes);

  enum class Keep : std::uint8_t { descriptor, mapping, contents };
  Keep keeps(std::uint64_t size_bytes) const;
  // The longest file of which contents are kept; 0: of none but empty ones.
  std::uint64_t most_contents_bytes() const;
  // Whether the next piece of this file is read into `scratch` before it is sent.
  bool reads_pieces(const FileBytes& file) const {
    return file.memory == nullptr && (kind_ == BodyKind::uncached || kind_ == BodyKind::buffer);
  }
  BodyKind kind() const { return kind_; }

  // One attempt to send the rest of a head and then the file's bytes [offset, offset + length). `scratch` is memory of
  // the caller's that the call may overwrite. Returns the bytes sent in all, which may be fewer; 0 when the file
  // ended before offset and there was no head; -1 with errno as sendmsg and sendfile leave it.
  // BLOCKS: network when the socket is in blocking mode; disk when the pages are not in memory.
  ssize_t send(int socket, std::span<const std::string_view> head, const FileBytes& file, std::uint64_t offset,
               std::uint64_t length, std::span<char> scratch) const;

 private:
  BodyKind kind_;
  std::uint64_t auto_limit_bytes_;
};

}  // namespace bakeoff
