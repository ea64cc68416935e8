// A directory that goes away with its test, and files in it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace bakeoff::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // Writes `name` below the directory, and the directories on its way. Replaces the content in place when it exists.
  void write(std::string_view name, std::string_view content) const;

  // Puts a new file in the place of `name` by rename, as editors and installers do.
  void replace(std::string_view name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

// Bytes that differ between any two names and between any two offsets near each other, so that a piece sent from the
// wrong file or the wrong place is noticed.
std::string test_content(std::string_view name, std::size_t bytes);

}  // namespace bakeoff::test
