#include "core/base/data_dir.h"

#include <cstdlib>

namespace bakeoff {

std::filesystem::path data_dir() {
  if (const char* chosen = std::getenv("BAKEOFF_DATA"); chosen != nullptr && *chosen != '\0') return chosen;
  std::error_code unreadable;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", unreadable);
  if (!unreadable) {
    const std::filesystem::path installed = self.parent_path().parent_path() / "share" / "bakeoff";
    if (std::filesystem::is_directory(installed, unreadable)) return installed;
  }
  return BAKEOFF_SOURCE_DIR;
}

}  // namespace bakeoff
