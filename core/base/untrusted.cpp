#include "core/base/untrusted.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

constexpr int longest_wait_for_writer_ms = 1000;

// The length of the UTF-8 character at the front; 0 when there is none. The shortest form only, no surrogates.
std::size_t character_at(std::string_view text, std::uint32_t& code) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t first = byte(0);
  code = first;
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  code = first & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  return code < least[length] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff ? 0 : length;
}

bool is_obeyed(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

struct TooDeep {};

// Recursion is safe: the depth is bounded.
void make_visible(nlohmann::json& json) {
  if (json.is_string()) {
    json = visible(json.get_ref<const std::string&>());
  } else if (json.is_array()) {
    for (nlohmann::json& one : json) make_visible(one);
  } else if (json.is_object()) {
    nlohmann::json clean = nlohmann::json::object();
    for (auto& [key, value] : json.get_ref<nlohmann::json::object_t&>()) {
      make_visible(value);
      clean[visible(key)] = std::move(value);
    }
    json = std::move(clean);
  }
}

nlohmann::json parse(std::string_view text) {
  auto json = nlohmann::json::parse(text, [](int depth, nlohmann::json::parse_event_t event, nlohmann::json&) {
    using Event = nlohmann::json::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    if (opens && depth >= most_json_depth) throw TooDeep{};  // the levels around the one that begins here
    return true;
  });
  make_visible(json);
  return json;
}

}  // namespace

// O_NONBLOCK: the open call would wait for a pipe's writer.
UntrustedFile::UntrustedFile(const std::filesystem::path& file, std::string what)
    : name_(std::move(what) + file.string()), fd_(::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {
  if (fd_ < 0) fail(errno);
  struct stat status {};
  const int error = ::fstat(fd_, &status) == 0 ? 0 : errno;
  pipe_ = awaits_writer_ = S_ISFIFO(status.st_mode);
  if (error == 0 && (pipe_ || S_ISREG(status.st_mode))) return;
  ::close(fd_);
  if (error != 0) fail(error);
  if (S_ISDIR(status.st_mode)) fail(EISDIR);
  throw UsageError("cannot read " + name_ + ": it is a device, not a file");
}

UntrustedFile::~UntrustedFile() { ::close(fd_); }

void UntrustedFile::fail(int error) const { throw UsageError("cannot read " + name_ + ": " + std::strerror(error)); }

std::size_t UntrustedFile::read(std::span<char> out) {
  for (;;) {
    const ssize_t got = ::read(fd_, out.data(), out.size());
    if (got > 0 || (got == 0 && !awaits_writer_)) {
      awaits_writer_ = false;
      return static_cast<std::size_t>(got);
    }
    // A pipe that had a writer is ready at once when it is at its end; one that never had is not.
    pollfd wait{fd_, POLLIN, 0};
    if (got == 0 || errno == EAGAIN) {
      const int ready = ::poll(&wait, 1, got == 0 ? longest_wait_for_writer_ms : -1);
      if (ready == 0) throw UsageError("cannot read " + name_ + ": it is a pipe that nobody writes to");
      if (ready > 0) {
        awaits_writer_ = false;
        continue;
      }
    }
    // Whoever interrupts a program that waits for a pipe wants it to end.
    if (errno == EINTR) throw StartError("interrupted while " + name_ + " was read");
    fail(errno);
  }
}

std::string read_untrusted(const std::filesystem::path& file, std::size_t most_bytes) {
  UntrustedFile in(file);
  std::string text;
  std::array<char, 65536> piece;
  while (const std::size_t got = in.read(piece)) {
    text.append(piece.data(), got);
    if (text.size() > most_bytes)
      throw UsageError("cannot read " + file.string() + ": it has more than " + std::to_string(most_bytes >> 20) +
                       " MiB");
  }
  return text;
}

nlohmann::json parse_untrusted(std::string_view text, const std::string& where) {
  try {
    return parse(text);
  } catch (const TooDeep&) {
    throw UsageError(where + ": not JSON that bakeoff wrote: nested deeper than " + std::to_string(most_json_depth) +
                     " levels");
  } catch (const nlohmann::json::exception& error) {
    throw UsageError(where + ": not JSON, or cut in half: " + plain_words(error));
  }
}

nlohmann::json parse_untrusted_or_discard(std::string_view text) {
  try {
    return parse(text);
  } catch (const TooDeep&) {
  } catch (const nlohmann::json::exception&) {
  }
  return nlohmann::json(nlohmann::json::value_t::discarded);
}

std::string plain_words(const nlohmann::json::exception& error) {
  const std::string_view what = error.what();
  const std::size_t end = what.starts_with("[json.exception.") ? what.find("] ") : std::string_view::npos;
  return visible(end == std::string_view::npos ? what : what.substr(end + 2));
}

std::string visible(std::string_view text, std::string_view keep) {
  constexpr char digits[] = "0123456789abcdef";
  std::string all;
  while (!text.empty()) {
    std::uint32_t code = 0;
    const std::size_t length = character_at(text, code);
    const std::size_t taken = length == 0 ? 1 : length;
    if (length != 0 && (!is_obeyed(code) || (length == 1 && keep.find(text[0]) != std::string_view::npos))) {
      all += text.substr(0, length);
    } else {
      for (const char byte : text.substr(0, taken)) {
        const auto value = static_cast<unsigned char>(byte);
        all += {'\\', 'x', digits[value >> 4], digits[value & 15]};
      }
    }
    text.remove_prefix(taken);
  }
  return all;
}

}  // namespace bakeoff
