// The bytes of a file as they were before it was compressed: with gzip, bzip2 or xz, which its first bytes tell, or not
// at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "core/base/untrusted.h"

namespace bakeoff {

// One of the compressed formats. Members that follow one another are read as one.
class Decoder {
 public:
  virtual ~Decoder() = default;
  struct Step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    bool damaged = false;  // what was produced is good, nothing follows
  };
  // Takes a prefix of `in` and fills a prefix of `out`. at_end: nothing follows `in`. Neither consumed nor produced: it
  // needs more, or at the end has no more.
  virtual Step step(std::span<const char> in, std::span<char> out, bool at_end) = 0;
  // Whether the data may end here.
  virtual bool complete() const = 0;
};

class DecompressedFile {
 public:
  // A file or a pipe. UsageError when it cannot be read. BLOCKS: disk, or whoever writes the pipe.
  explicit DecompressedFile(const std::filesystem::path& file);
  DecompressedFile(const DecompressedFile&) = delete;
  DecompressedFile& operator=(const DecompressedFile&) = delete;

  // Fills a prefix of `out` and returns its length; 0 at the end. UsageError when reading fails. BLOCKS: disk.
  std::size_t read(std::span<char> out);
  // At the end: the compressed data was cut short or damaged, and what came before was read.
  bool cut_short() const { return cut_short_; }

 private:
  void fill();

  UntrustedFile file_;
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;  // of what is left in the buffer
  std::size_t end_ = 0;
  bool at_end_ = false;               // of the file
  std::unique_ptr<Decoder> decoder_;  // none: plain
  bool cut_short_ = false;
};

}  // namespace bakeoff
