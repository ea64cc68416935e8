// A directory that is gone when the test is.
#pragma once

#include <cstdlib>
#include <filesystem>

#include "tests/catch.h"

namespace bakeoff {

class TempDir {
 public:
  TempDir() {
    std::string name = std::filesystem::temp_directory_path() / "bakeoff-test-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace bakeoff
