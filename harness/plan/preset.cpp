#include "harness/plan/preset.h"

#include <algorithm>

#include "core/base/data_dir.h"
#include "core/toml/strict_toml.h"
#include "harness/processes/affinity.h"

namespace bakeoff {
namespace {

Preset load_preset(const std::filesystem::path& file) {
  TomlDocument document = TomlDocument::load(file);
  const TomlTable root = document.root();
  Preset preset;
  preset.name = file.stem().string();
  preset.architecture = root.string("architecture");
  preset.paper = root.string("paper");
  preset.section = root.string("section");
  preset.description = root.string("description");
  if (const auto options = root.table("options")) {
    for (const std::string& key : options->keys()) {
      const std::string value = options->text(key);
      const bool follows = key == "workers" && value == "processors";
      preset.options.emplace_back(key, follows ? std::to_string(usable_processors().size()) : value);
    }
  }
  document.finish();
  return preset;
}

}  // namespace

std::filesystem::path presets_dir() { return data_dir() / "architectures" / "presets"; }

std::optional<Preset> find_preset(const std::string& name_or_path) {
  const std::filesystem::path file =
      is_path(name_or_path) ? std::filesystem::path(name_or_path) : presets_dir() / (name_or_path + ".toml");
  if (!std::filesystem::exists(file)) return std::nullopt;
  return load_preset(file);
}

std::vector<Preset> list_presets() {
  std::vector<Preset> presets;
  if (!std::filesystem::is_directory(presets_dir())) return presets;
  for (const auto& entry : std::filesystem::directory_iterator(presets_dir())) {
    if (entry.path().extension() == ".toml") presets.push_back(load_preset(entry.path()));
  }
  std::sort(presets.begin(), presets.end(), [](const Preset& a, const Preset& b) { return a.name < b.name; });
  return presets;
}

}  // namespace bakeoff
