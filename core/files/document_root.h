// The files that are served, and nothing else: names are resolved by the kernel below one directory
// (openat2 with RESOLVE_BENEATH), so that neither ".." nor a symbolic link leads out of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bakeoff {

class DocumentRoot {
 public:
  // Throws UsageError when the directory is missing or cannot be read.
  explicit DocumentRoot(const std::string& directory);
  // Throws StartError when the kernel, or a sandbox around this process, lacks what open() needs.
  void check_kernel() const;
  ~DocumentRoot();
  DocumentRoot(const DocumentRoot&) = delete;
  DocumentRoot& operator=(const DocumentRoot&) = delete;

  struct File {
    int status = 0;  // 200; or 301 (a directory named without its slash), 403, 404, 500, 503
    int fd = -1;     // the caller's to close, when status is 200
    std::uint64_t size_bytes = 0;
    std::int64_t mtime_ns = 0;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
  };

  // BLOCKS: disk. `name` is a normalised target: begins with '/'. Opens regular files only.
  File open(std::string_view name) const;

  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace bakeoff
