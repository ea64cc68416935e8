// What the tests of files have in common.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "core/files/body.h"
#include "core/files/file_cache.h"

namespace bakeoff::test {

inline constexpr std::array body_kinds = {BodyKind::automatic, BodyKind::sendfile, BodyKind::mmap, BodyKind::buffer,
                                          BodyKind::uncached};

// The bytes that a reply would send, from wherever the entry has them.
inline std::string bytes_of(const CachedFile& file) {
  const FileBytes& bytes = file.bytes;
  if (bytes.memory != nullptr) return std::string(bytes.memory, bytes.size_bytes);
  std::string content(bytes.size_bytes, '\0');
  if (content.empty()) return content;
  content.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::pread(bytes.fd, content.data(), content.size(), 0))));
  return content;
}

}  // namespace bakeoff::test
