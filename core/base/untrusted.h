// Untrusted input: files, JSON, names. A file may be endless, nested without bound, or not a regular file; a name may
// hold bytes that a terminal obeys. All untrusted input is read through these functions.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/errors.h"

namespace bakeoff {

// A regular file or a pipe, open for reading. A directory, device or socket is rejected. A named pipe without a writer
// within a second is rejected at the first read, which would never end.
class UntrustedFile {
 public:
  // `what` stands before the name in messages: "the log ". Throws UsageError.
  explicit UntrustedFile(const std::filesystem::path& file, std::string what = "");
  ~UntrustedFile();
  UntrustedFile(const UntrustedFile&) = delete;
  UntrustedFile& operator=(const UntrustedFile&) = delete;

  // How many bytes came; 0 at the end. Throws UsageError, and StartError when a signal interrupts a wait for a pipe.
  // BLOCKS: disk, or whoever writes the pipe.
  std::size_t read(std::span<char> out);
  bool is_pipe() const { return pipe_; }

 private:
  [[noreturn]] void fail(int error) const;

  std::string name_;
  int fd_;
  bool pipe_ = false;
  bool awaits_writer_ = false;
};

// The whole content. Throws UsageError when it has more than `most_bytes`. BLOCKS: as UntrustedFile::read.
std::string read_untrusted(const std::filesystem::path& file, std::size_t most_bytes);

// Results, plans and the like: no run comes near these bounds.
inline constexpr std::size_t most_json_bytes = std::size_t{256} << 20;
inline constexpr int most_json_depth = 64;

// JSON of at most most_json_depth levels. Control bytes in its strings and keys are made visible. Throws UsageError
// "WHERE: not JSON: ...".
nlohmann::json parse_untrusted(std::string_view text, const std::string& where);
// The same; discarded (is_discarded()) where the text is not JSON or too deep.
nlohmann::json parse_untrusted_or_discard(std::string_view text);

// A whole number, as a T. Throws UsageError for a fraction and for what a T cannot hold, where json.get<T>() would be
// undefined. Throws nlohmann's exceptions for anything else than a number.
template <class T, class Json>
T whole_number(const Json& json) {
  using Limits = std::numeric_limits<T>;
  if (json.is_number_unsigned()) {
    if (const auto value = json.template get<std::uint64_t>(); std::in_range<T>(value)) return static_cast<T>(value);
  } else if (json.is_number_integer()) {
    if (const auto value = json.template get<std::int64_t>(); std::in_range<T>(value)) return static_cast<T>(value);
  } else if (json.is_number_float()) {
    const auto value = json.template get<double>();
    const double end = std::ldexp(1.0, Limits::digits);
    if (value == std::trunc(value) && value < end && value >= (Limits::is_signed ? -end : 0))
      return static_cast<T>(value);
  } else {
    return json.template get<T>();
  }
  throw UsageError("expected a whole number from " + std::to_string(Limits::min()) + " to " +
                   std::to_string(Limits::max()) + ", got " + json.dump());
}

// JSON as text, on one line or indented. JSON is UTF-8 and names may be any bytes: what is no UTF-8 becomes U+FFFD.
template <class Json>
std::string json_text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// What an error of the JSON library says, without the library's own prefix.
std::string plain_words(const nlohmann::json::exception& error);

// The text with everything escaped that is not printable UTF-8: control bytes, bytes that are no UTF-8, and the marks
// that reverse the direction of writing. `\x1b` stands for an escape byte. `keep`: control bytes that stay.
std::string visible(std::string_view text, std::string_view keep = "");

}  // namespace bakeoff
