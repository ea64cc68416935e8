// A file that a program writes when its work is done. The program checks beforehand that it can be written, so that no
// measurement is lost. It is written under another name and renamed, so that an old file stays intact until the new one
// is complete.
#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>

namespace bakeoff {

class OutputFile {
 public:
  // "-" is standard output. StartError, with the reason, when it cannot be written.
  explicit OutputFile(const std::string& name);

  bool is_standard_output() const { return place_.empty(); }

  // StartError when what `put` says does not all get there: an old file is then as it was, unless it is none that can
  // be renamed over (a pipe, a device, a file in a folder that cannot be written). BLOCKS: disk.
  void write(const std::function<void(std::ostream&)>& put) const;

 private:
  std::filesystem::path beside() const;
  void write_to(const std::filesystem::path& file, const std::function<void(std::ostream&)>& put) const;

  std::string name_;             // as given, for messages
  std::filesystem::path place_;  // where the file is, links followed; empty for standard output
  bool renames_ = false;
};

}  // namespace bakeoff
