// What targets say of their input.
#pragma once

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string_view>

namespace bakeoff::fuzz {

// Aborts, so that libFuzzer keeps the input.
inline void must(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "does not hold: " << what << std::endl;
  std::abort();
}

// In a block of its own size, so that the address sanitizer sees every byte that is read beyond it.
class Block {
 public:
  explicit Block(std::string_view bytes) : bytes_(new char[bytes.size()]), size_(bytes.size()) {
    bytes.copy(bytes_.get(), size_);
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

}  // namespace bakeoff::fuzz
