// A set of files to serve, made on disk once and known to the client without reading the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/http/content.h"

namespace bakeoff {

struct WorkloadFile {
  std::string path;  // as in a URL, with the slash in front: "/dir00000/class0_0"
  std::uint64_t size_bytes = 0;
  std::uint32_t class_index = 0;   // into Workload::classes
  std::uint64_t content_seed = 0;  // of its path; FileSet::add computes it
  bool on_disk = true;             // false: servers make the reply up (core/synthetic_reply.h)
};

class FileSet {
 public:
  explicit FileSet(std::string name = "files") : name_(std::move(name)) {}

  // Adds a file and returns its index. The path is made of plain segments of letters, digits and "._-" that do not
  // begin with a dot, so that it means the same in a URL and on disk. A path given twice is a bug.
  std::uint32_t add(std::string path, std::uint64_t size_bytes, std::uint32_t class_index = 0);
  // A synthetic reply: requested and checked like a file, but there is no file.
  std::uint32_t add_made(std::string path, std::uint64_t size_bytes, std::uint32_t class_index);
  bool has_synthetic() const;

  const std::string& name() const { return name_; }
  const std::vector<WorkloadFile>& files() const { return files_; }
  const WorkloadFile& operator[](std::uint32_t index) const { return files_[index]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(files_.size()); }
  std::uint64_t total_bytes() const { return total_bytes_; }  // of what is on disk

  // The index of a file by its path, as it stands in a URL.
  std::optional<std::uint32_t> find(std::string_view path) const;

  // Sixteen hexadecimal digits that change with any path or size on disk, or the way content is made.
  std::string hash() const;

 private:
  struct TextHash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  std::string name_;
  std::vector<WorkloadFile> files_;
  std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>> index_;
  std::uint64_t total_bytes_ = 0;
};

struct MaterialiseOptions {
  bool check_content = false;  // read every byte of a set that is reused; otherwise only the sizes are checked
  // Called now and then with the bytes done and the bytes in all, while files are written or read.
  std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

struct MaterialisedSet {
  std::filesystem::path root;  // what a server takes as its --root
  bool reused = false;         // a complete set was there already
  std::uint32_t repaired = 0;  // files of it that were missing or damaged, and were written again
};

// Makes the set on disk under `dir` (made if missing), or finds it there: <dir>/<name>-<hash>/files. A manifest written
// last marks a complete set; a set without it is made anew. Two processes that want the same set wait for each other.
// BLOCKS: disk, lock. StartError when there is too little space or too few inodes (checked before; if the disk fills up
// nevertheless, the partial set is removed) or the directory cannot be written.
MaterialisedSet materialise(const FileSet& set, const std::filesystem::path& dir,
                            const MaterialiseOptions& options = {});

}  // namespace bakeoff
