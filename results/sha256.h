// SHA-256, to name specifications and binaries in results.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace bakeoff {

// 64 hexadecimal digits.
std::string sha256(std::string_view bytes);
// Of a file's content; std::runtime_error when it cannot be read. BLOCKS: disk.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace bakeoff
