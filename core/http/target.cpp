#include "core/http/target.h"

#include <array>

namespace bakeoff {
namespace {

constexpr std::array<bool, 256> make_special_bytes() {
  std::array<bool, 256> special{};
  for (std::size_t byte = 0; byte < 0x20; ++byte) special[byte] = true;
  special[0x7f] = special['%'] = special['?'] = special['#'] = true;
  return special;
}

constexpr std::array<bool, 256> special_bytes = make_special_bytes();

int hex_value(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

// Takes the last segment off a path that ends in '/'. False when there is none.
bool remove_last_segment(std::string& path) {
  if (path.size() == 1) return false;
  path.resize(path.rfind('/', path.size() - 2) + 1);
  return true;
}

}  // namespace

bool is_plain(std::string_view target) {
  if (target.size() < 2 || target.front() != '/' || target.back() == '/') return false;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (special_bytes[static_cast<unsigned char>(target[i])]) return false;
    if (target[i] != '/') continue;
    std::string_view next = target.substr(i + 1);
    if (next.front() == '/') return false;  // not empty, as the last byte is no slash
    if (next.front() != '.') continue;
    next.remove_prefix(next.starts_with("..") ? 2 : 1);
    if (next.empty() || next.front() == '/') return false;
  }
  return true;
}

std::optional<std::string> normalise_target(std::string_view target) {
  if (target.empty() || target.front() != '/') return std::nullopt;
  target = target.substr(0, target.find_first_of("?#"));

  // `path` always ends with the segment being read, and a slash ends a segment whether it came encoded or not: what
  // the file system would see decides, so that no "%2e%2e%2f" gets past.
  std::string path = "/";
  path.reserve(target.size() + std::string_view("index.html").size());
  std::size_t segment_begin = 1;
  const auto end_segment = [&path, &segment_begin](bool slash_follows) {
    const std::string_view segment = std::string_view(path).substr(segment_begin);
    if (segment == "." || segment == "..") {
      const bool climbs = segment.size() == 2;
      path.resize(segment_begin);
      if (climbs && !remove_last_segment(path)) return false;
    } else if (!segment.empty() && slash_follows) {
      path += '/';
    }
    segment_begin = path.size();
    return true;
  };

  for (std::size_t i = 1; i < target.size(); ++i) {
    char byte = target[i];
    if (byte == '%') {
      if (target.size() - i < 3) return std::nullopt;
      const int high = hex_value(target[i + 1]);
      const int low = hex_value(target[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      byte = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (byte == '\0') return std::nullopt;
    if (byte != '/') {
      path += byte;
    } else if (!end_segment(true)) {
      return std::nullopt;
    }
  }
  if (!end_segment(false)) return std::nullopt;
  if (path.back() == '/') path += "index.html";
  return path;
}

}  // namespace bakeoff
