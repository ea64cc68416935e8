#include "harness/ground/file_sets.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "core/base/check.h"
#include "harness/ground/slow_disk.h"

namespace bakeoff {

std::vector<std::string> workload_overrides(const Specification& spec, const Cell& cell) {
  std::vector<std::string> overrides = spec.workload_overrides;
  for (const auto& [key, value] : cell.workload_set) overrides.push_back(workload_override(spec, key, value));
  return overrides;
}

FileSets::FileSets(Reactor& reactor, const Specification& spec, const std::vector<Cell>& cells) {
  for (const Cell& cell : cells) {
    const auto [place, is_new] = by_set_.try_emplace(cell.workload_set);
    if (!is_new) continue;
    place->second.workload = load_workload(spec.workload, workload_overrides(spec, cell));
    place->second.root = make_files(reactor, spec, place->second.workload);
  }
}

const FileSets::Made& FileSets::of(const Cell& cell) const {
  const auto found = by_set_.find(cell.workload_set);
  BAKEOFF_CHECK(found != by_set_.end());
  return found->second;
}

std::filesystem::path file_sets_dir() {
  const auto from = [](const char* variable) -> std::filesystem::path {
    const char* value = std::getenv(variable);
    return value == nullptr ? "" : value;
  };
  if (const auto chosen = from("BAKEOFF_FILES"); !chosen.empty()) return chosen;
  if (const auto cache = from("XDG_CACHE_HOME"); !cache.empty()) return cache / "bakeoff";
  std::error_code missing;  // users of services and containers often have a home that is not there
  if (const auto home = from("HOME"); std::filesystem::is_directory(home, missing)) return home / ".cache" / "bakeoff";
  return "/var/tmp/bakeoff-" + std::to_string(getuid());
}

std::filesystem::path make_files(Reactor& reactor, const Specification& spec, const Workload& workload) {
  if (has_slow_disk(spec))
    return slow_disk_mountpoint(file_sets_dir() / "slowdisk");  // which makes them as they are read
  MaterialiseOptions options;
  bool told = false;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    // Called often enough to handle a signal between two calls; without it, Ctrl-C would wait for gigabytes.
    reactor.wait_until([] { return true; }, after_s(0));
    if (!told && done < total) {
      std::fprintf(stderr, "making the files of %s: %.0f MB in %s\n", workload.name.c_str(),
                   static_cast<double>(total) * 1e-6, file_sets_dir().c_str());
      told = true;
    }
  };
  return materialise(workload.files, file_sets_dir(), options).root;
}

}  // namespace bakeoff
