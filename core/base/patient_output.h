// Output whose reader may have stopped to read: a pipe that is full must not hold up the end of a server.
#pragma once

#include <string_view>

namespace bakeoff {

class PatientOutput {
 public:
  // Gives up once the reader of `fd` has taken nothing for patience_ms.
  PatientOutput(int fd, int patience_ms) : fd_(fd), patience_ms_(patience_ms) {}

  // BLOCKS: until `bytes` are written, or it gives up. After that nothing more is written.
  void write(std::string_view bytes);

  // All that was given to write() has been written.
  bool complete() const { return complete_; }

 private:
  int fd_;
  int patience_ms_;
  bool complete_ = true;
};

}  // namespace bakeoff
