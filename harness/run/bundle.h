// One archive of a run, from which it can be repeated.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace bakeoff {

using ArchiveFiles = std::vector<std::pair<std::string, std::string>>;  // names and contents

// A tar file (POSIX ustar), compressed as gzip does. The same files make the same bytes: no times, no owners.
// UsageError for a name that such an archive cannot hold (more than 100 bytes).
std::string tar_gz(const ArchiveFiles& files);

// The contents of a bundle of the run in `folder`, under the experiment's name: every file of the folder, the
// definitions that its specification names (workload, outside servers), SHA256SUMS of all of them, and README.md, which
// says what measured it and how to repeat it. UsageError when it is not a run's folder, or is damaged. BLOCKS: disk.
ArchiveFiles bundle_files(const std::filesystem::path& folder);

}  // namespace bakeoff
