// The files that a specification names beside itself: workloads, access logs, outside servers, presets, models
// of disks.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/toml/strict_toml.h"

namespace bakeoff {

// "./webfs.toml" and "webfs.toml" are paths, "nginx" is the name of a shipped one.
bool is_path(std::string_view name_or_path);

struct Input {
  std::string kind;            // workload, log, outside, preset or disk
  std::string written;         // in the specification: a name or a path
  std::filesystem::path file;  // it is read from here
};

// A run's folder has copies of all its inputs; this file beside its spec.toml says which copy stands for what:
//     {"inputs": [{"kind": "log", "written": "access.log", "copy": "inputs/log/access.log",
//                  "source": "/home/me/access.log", "sha256": "..."}]}
constexpr const char* inputs_file = "inputs.json";

// Finds inputs. A relative path is relative to the specification's own file. Beside a file inputs.json the copies
// are used.
class InputFinder {
 public:
  // UsageError when there is an inputs.json that cannot be read. BLOCKS: disk.
  explicit InputFinder(const std::filesystem::path& specification);

  // What to load for `table`'s `key`, whose value is `written`: a path, or the name itself if it names a shipped one.
  // `shipped`: the folder that has those; empty: `written` is always a path. Fails at the key for a path that is not a
  // regular file. BLOCKS: disk.
  std::string find(const TomlTable& table, std::string_view key, const std::string& kind, const std::string& written,
                   const std::filesystem::path& shipped);

  // All that were found.
  std::vector<Input> take() { return std::move(inputs_); }

 private:
  struct Copy {
    std::string kind, written;
    std::filesystem::path file;
  };
  std::filesystem::path folder_;
  std::vector<Copy> copies_;
  std::vector<Input> inputs_;
};

}  // namespace bakeoff
