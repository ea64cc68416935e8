#include "harness/processes/small_file.h"

#include <fcntl.h>
#include <unistd.h>

namespace bakeoff {

std::optional<std::string> read_small_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::string text;
  char piece[8192];
  ssize_t got;
  while ((got = read(fd, piece, sizeof piece)) > 0) text.append(piece, static_cast<std::size_t>(got));
  close(fd);
  if (got < 0) return std::nullopt;
  return text;
}

}  // namespace bakeoff
