// SHA-256, to name specifications and binaries in results.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace bakeoff {

// 64 hexadecimal digits.
std::string sha256(std::string_view bytes);
// Of the content of a file or pipe, as UntrustedFile reads it. Throws UsageError when it cannot be read. BLOCKS: disk.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace bakeoff
