#include "workloads/decompressed.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>

#include <algorithm>
#include <string_view>

#include "core/base/errors.h"

namespace bakeoff {

namespace {

constexpr std::size_t buffer_bytes = 1 << 17;
constexpr std::string_view gzip_magic = "\x1f\x8b", bzip2_magic = "BZh", xz_magic{"\xfd\x37zXZ\0", 6};

// The three libraries have streams of one form.
template <class Stream, class Byte>
void point(Stream& stream, std::span<const char> in, std::span<char> out) {
  stream.next_in = reinterpret_cast<Byte*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<decltype(stream.avail_in)>(in.size());
  stream.next_out = reinterpret_cast<Byte*>(out.data());
  stream.avail_out = static_cast<decltype(stream.avail_out)>(out.size());
}
template <class Stream>
Decoder::Step moved(const Stream& stream, std::span<const char> in, std::span<char> out, bool damaged) {
  return {in.size() - stream.avail_in, out.size() - stream.avail_out, damaged};
}

class Gzip : public Decoder {
 public:
  Gzip() {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) throw StartError("zlib cannot start");
  }
  ~Gzip() override { inflateEnd(&stream_); }
  Step step(std::span<const char> in, std::span<char> out, bool) override {
    if (ended_) {
      // What follows and is no further member is padding, as gzip itself takes it.
      if (in.empty() || in.front() != gzip_magic.front()) return {in.size(), 0, false};
      inflateReset(&stream_);
      ended_ = false;
    }
    point<z_stream, Bytef>(stream_, in, out);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    ended_ = result == Z_STREAM_END;
    return moved(stream_, in, out, !ended_ && result != Z_OK && result != Z_BUF_ERROR);
  }
  bool complete() const override { return ended_; }

 private:
  z_stream stream_{};
  bool ended_ = false;
};

class Bzip2 : public Decoder {
 public:
  Bzip2() { begin(); }
  ~Bzip2() override { BZ2_bzDecompressEnd(&stream_); }
  Step step(std::span<const char> in, std::span<char> out, bool) override {
    if (ended_) {
      if (in.empty() || in.front() != bzip2_magic.front()) return {in.size(), 0, false};
      BZ2_bzDecompressEnd(&stream_);
      begin();
    }
    point<bz_stream, char>(stream_, in, out);
    const int result = BZ2_bzDecompress(&stream_);
    ended_ = result == BZ_STREAM_END;
    return moved(stream_, in, out, !ended_ && result != BZ_OK);
  }
  bool complete() const override { return ended_; }

 private:
  void begin() {
    stream_ = {};
    ended_ = false;
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) throw StartError("libbz2 cannot begin");
  }
  bz_stream stream_{};
  bool ended_ = false;
};

class Xz : public Decoder {
 public:
  Xz() {
    constexpr std::uint64_t most_memory_bytes = std::uint64_t{1} << 30;  // xz -9 takes a sixteenth of it
    if (lzma_stream_decoder(&stream_, most_memory_bytes, LZMA_CONCATENATED) != LZMA_OK)
      throw StartError("liblzma cannot start");
  }
  ~Xz() override { lzma_end(&stream_); }
  Step step(std::span<const char> in, std::span<char> out, bool at_end) override {
    if (ended_) return {in.size(), 0, false};
    point<lzma_stream, std::uint8_t>(stream_, in, out);
    const lzma_ret result = lzma_code(&stream_, at_end ? LZMA_FINISH : LZMA_RUN);
    ended_ = result == LZMA_STREAM_END;
    return moved(stream_, in, out, !ended_ && result != LZMA_OK && result != LZMA_BUF_ERROR);
  }
  bool complete() const override { return ended_; }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ended_ = false;
};

std::unique_ptr<Decoder> decoder_for(std::string_view start) {
  if (start.starts_with(gzip_magic)) return std::make_unique<Gzip>();
  if (start.starts_with(bzip2_magic)) return std::make_unique<Bzip2>();
  if (start.starts_with(xz_magic)) return std::make_unique<Xz>();
  return nullptr;
}

}  // namespace

DecompressedFile::DecompressedFile(const std::filesystem::path& file)
    : file_(file, "the log "), buffer_(new char[buffer_bytes]) {
  while (!at_end_ && end_ < xz_magic.size()) fill();
  decoder_ = decoder_for({buffer_.get(), end_});
}

void DecompressedFile::fill() {
  if (begin_ == end_) begin_ = end_ = 0;
  const std::size_t got = file_.read({buffer_.get() + end_, buffer_bytes - end_});
  at_end_ = got == 0;
  end_ += got;
}

std::size_t DecompressedFile::read(std::span<char> out) {
  while (!cut_short_) {
    if (begin_ == end_ && !at_end_) fill();
    const std::span<const char> in(buffer_.get() + begin_, end_ - begin_);
    if (decoder_ == nullptr) {
      const std::size_t count = std::min(in.size(), out.size());
      std::copy_n(in.data(), count, out.data());
      begin_ += count;
      return count;
    }
    const Decoder::Step step = decoder_->step(in, out, at_end_);
    begin_ += step.consumed;
    const bool stuck = step.consumed == 0 && step.produced == 0 && (at_end_ || !in.empty());
    cut_short_ = step.damaged || (stuck && !decoder_->complete());
    if (step.produced != 0) return step.produced;
    if (at_end_ && begin_ == end_) break;
  }
  // What an encoder flushed before the cut is all that there is.
  cut_short_ = cut_short_ || (decoder_ != nullptr && !decoder_->complete());
  return 0;
}

}  // namespace bakeoff
