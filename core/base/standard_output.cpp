#include "core/base/standard_output.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/errors.h"

namespace bakeoff {

void write_to_standard_output(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data() + at, text.size() - at);
    if (written < 0 && errno != EINTR)
      throw StartError(std::string("cannot write to standard output: ") + std::strerror(errno));
    if (written > 0) at += static_cast<std::size_t>(written);
  }
}

}  // namespace bakeoff
