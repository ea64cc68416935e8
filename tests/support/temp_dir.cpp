#include "tests/support/temp_dir.h"

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace bakeoff::test {

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "bakeoff-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp " + pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TempDir::write(std::string_view name, std::string_view content) const {
  const std::filesystem::path file = path_ / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + file.string());
}

void TempDir::replace(std::string_view name, std::string_view content) const {
  const std::string fresh = std::string(name) + ".new";
  write(fresh, content);
  std::filesystem::rename(path_ / fresh, path_ / name);
}

std::string test_content(std::string_view name, std::size_t bytes) {
  std::uint64_t state = 1469598103934665603U;
  for (const char c : name) state = (state ^ static_cast<unsigned char>(c)) * 1099511628211U;
  std::string content(bytes, '\0');
  for (char& c : content) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    c = static_cast<char>(state >> 56);
  }
  return content;
}

}  // namespace bakeoff::test
