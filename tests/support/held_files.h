// Files on a disk that blocks on command: a small read-only FUSE file system served by the test itself. Pages in the
// kernel's page cache are as fast as any file's. The first read of a held file makes its reader, and only its reader,
// wait, by read, sendfile or a mapping.
#pragma once

#include <map>
#include <memory>
#include <string>

namespace bakeoff::test {

class HeldFiles {
 public:
  // Whether this build and this machine can; otherwise why not, for the skipped test to say.
  static bool available(std::string& why_not);

  // Mounts files of these names, one directory. Those whose names begin with "held" are held back. REQUIRES: available.
  explicit HeldFiles(const std::map<std::string, std::string>& contents);
  // Releases everything and unmounts.
  ~HeldFiles();
  HeldFiles(const HeldFiles&) = delete;
  HeldFiles& operator=(const HeldFiles&) = delete;

  const std::string& root() const;
  // How many reads wait now.
  int waiting() const;
  // Lets the reads of the file go on, those that wait and those to come.
  void release(const std::string& name);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bakeoff::test
