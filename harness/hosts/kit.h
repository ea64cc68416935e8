// What a host needs to take part: programs and the files that they read, in one folder whose name is the hash of its
// content. A host that has the folder has the same bytes.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/hosts/remote_shell.h"

namespace bakeoff {

class Kit {
 public:
  // In the kit's folder: a file for each that is named. BLOCKS: disk.
  void add(const std::string& name, const std::filesystem::path& file);
  // All regular files of a folder with that ending, not of those in it.
  void add_all(const std::string& name, const std::filesystem::path& folder, const std::string& ending);

  // Makes the folder on this host, where it is not there yet. The same path holds on all: $BAKEOFF_KITS/HASH, else
  // /var/tmp/bakeoff-kits-UID/HASH. StartError when it cannot be written. BLOCKS: disk.
  const std::filesystem::path& make();
  const std::filesystem::path& folder() const { return folder_; }
  // Copies it to the hosts that do not have it, and returns those. StartError. BLOCKS: network.
  std::vector<std::string> copy_to(const RemoteShell& shell, const std::vector<std::string>& hosts) const;

 private:
  struct Part {
    std::filesystem::path file;
    std::string sha256;
  };
  std::map<std::string, Part> parts_;
  std::filesystem::path folder_;
};

}  // namespace bakeoff
