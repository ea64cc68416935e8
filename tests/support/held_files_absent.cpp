// In place of held_files.cpp where there is no fuse3 to build it with.
#include <stdexcept>

#include "tests/support/held_files.h"

namespace bakeoff::test {

class HeldFiles::Impl {};

bool HeldFiles::available(std::string& why_not) {
  why_not = "built without fuse3 (libfuse3-dev is missing)";
  return false;
}

HeldFiles::HeldFiles(const std::map<std::string, std::string>&) { throw std::logic_error("not available"); }
HeldFiles::~HeldFiles() = default;
const std::string& HeldFiles::root() const { throw std::logic_error("not available"); }
int HeldFiles::waiting() const { return 0; }
void HeldFiles::release(const std::string&) {}

}  // namespace bakeoff::test
