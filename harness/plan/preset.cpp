#include "harness/plan/preset.h"

#include <sched.h>

#include <algorithm>

#include "core/base/data_dir.h"
#include "core/toml/strict_toml.h"

namespace bakeoff {
namespace {

std::filesystem::path presets_dir() { return data_dir() / "architectures" / "presets"; }

int processors() {
  cpu_set_t allowed;
  return ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

Preset load(const std::filesystem::path& file) {
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
      preset.options.emplace_back(key, key == "workers" && value == "processors" ? std::to_string(processors()) : value);
    }
  }
  document.finish();
  return preset;
}

}  // namespace

std::optional<Preset> find_preset(const std::string& name) {
  const std::filesystem::path file = presets_dir() / (name + ".toml");
  if (name.find('/') != std::string::npos || !std::filesystem::exists(file)) return std::nullopt;
  return load(file);
}

std::vector<Preset> list_presets() {
  std::vector<Preset> presets;
  if (!std::filesystem::is_directory(presets_dir())) return presets;
  for (const auto& entry : std::filesystem::directory_iterator(presets_dir())) {
    if (entry.path().extension() == ".toml") presets.push_back(load(entry.path()));
  }
  std::sort(presets.begin(), presets.end(), [](const Preset& a, const Preset& b) { return a.name < b.name; });
  return presets;
}

}  // namespace bakeoff
