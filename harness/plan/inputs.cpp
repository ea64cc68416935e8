#include "harness/plan/inputs.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {

bool is_path(std::string_view name_or_path) {
  return name_or_path.find('/') != std::string_view::npos || name_or_path.ends_with(".toml");
}

InputFinder::InputFinder(const std::filesystem::path& specification) : folder_(specification.parent_path()) {
  const std::filesystem::path list = folder_ / inputs_file;
  std::error_code unreadable;
  if (!std::filesystem::exists(list, unreadable)) return;
  constexpr std::size_t most_bytes = 1 << 24;
  try {
    const nlohmann::json listed = parse_untrusted(read_untrusted(list, most_bytes), list.string());
    for (const nlohmann::json& one : listed.at("inputs")) {
      copies_.push_back({one.at("kind").get<std::string>(), one.at("written").get<std::string>(),
                         folder_ / one.at("copy").get<std::string>()});
    }
  } catch (const nlohmann::json::exception& error) {
    throw UsageError(list.string() + ": damaged: " + plain_words(error));
  }
}

std::string InputFinder::find(const TomlTable& table, std::string_view key, const std::string& kind,
                              const std::string& written, const std::filesystem::path& shipped) {
  const auto copy = std::find_if(copies_.begin(), copies_.end(),
                                 [&](const Copy& one) { return one.kind == kind && one.written == written; });
  const bool names_shipped = !shipped.empty() && !is_path(written);
  std::filesystem::path file = copy != copies_.end() ? copy->file
                               : names_shipped       ? shipped / (written + ".toml")
                                                     : folder_ / written;
  std::error_code error;
  const bool is_there = std::filesystem::is_regular_file(file, error);
  // Whoever loads an unknown name knows which names there are.
  if (!is_there && names_shipped && copy == copies_.end()) return written;
  if (!is_there) {
    table.fail(key, std::filesystem::exists(file, error)
                        ? file.string() + " is no regular file; each trial reads it again"
                        : "there is no file " + file.string() + "; a path is relative to the specification's own file");
  }
  const bool known = std::any_of(inputs_.begin(), inputs_.end(),
                                 [&](const Input& one) { return one.kind == kind && one.written == written; });
  if (!known) inputs_.push_back({kind, written, file});
  return names_shipped && copy == copies_.end() ? written : file.string();
}

}  // namespace bakeoff
