#include "harness/ground/file_sets.h"

#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "tests/catch.h"
#include "tests/support/temp_dir.h"

using namespace bakeoff;

namespace {

// A variable of the environment for as long as a test takes.
class Variable {
 public:
  Variable(const char* name, const std::optional<std::string>& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const std::optional<std::string>& value) const {
    if (value) {
      setenv(name_, value->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("file sets go where they may: as told, in the user's cache, or where there is no home, in /var/tmp") {
  const test::TempDir home;
  const std::string fallback = "/var/tmp/bakeoff-" + std::to_string(getuid());
  const Variable no_files("BAKEOFF_FILES", std::nullopt), no_cache("XDG_CACHE_HOME", std::nullopt);
  {
    const Variable there("HOME", home.path().string());
    CHECK(file_sets_dir() == home.path() / ".cache/bakeoff");
    const Variable cache("XDG_CACHE_HOME", "/x");
    CHECK(file_sets_dir() == "/x/bakeoff");
    const Variable files("BAKEOFF_FILES", "/y");
    CHECK(file_sets_dir() == "/y");
  }
  for (const auto& gone :
       {std::optional<std::string>("/nonexistent"), std::optional<std::string>(""), std::optional<std::string>()}) {
    const Variable missing("HOME", gone);
    CHECK(file_sets_dir() == fallback);
  }
}
