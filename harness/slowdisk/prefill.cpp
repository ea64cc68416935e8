#include "harness/slowdisk/prefill.h"

#include <utility>

#include "harness/slowdisk/cache_account.h"

namespace bakeoff {

std::vector<std::uint32_t> files_in_memory(const Workload& workload, std::uint64_t cache_bytes, std::uint64_t seed) {
  RequestSource source = workload.source(seed, 0);
  std::vector<bool> taken(workload.files.size(), false);
  std::vector<std::uint32_t> files;
  std::uint64_t bytes = 0;
  // Files that hardly anybody asks for may never be drawn, with a bound beyond the set: enough is enough.
  for (std::uint64_t draws = 0;
       files.size() < workload.files.size() && draws < 100 * std::uint64_t{workload.files.size()}; ++draws) {
    const std::uint32_t file = source.next();
    if (taken[file] || !workload.files[file].on_disk) continue;
    const std::uint64_t pages = (workload.files[file].size_bytes + cache_page_bytes - 1) / cache_page_bytes;
    if (cache_bytes > 0 && bytes + pages * cache_page_bytes > cache_bytes) break;
    bytes += pages * cache_page_bytes;
    taken[file] = true;
    files.push_back(file);
  }
  for (std::size_t left = files.size(); left > 1; --left)
    std::swap(files[left - 1], files[source.random().below(static_cast<std::uint32_t>(left))]);
  return files;
}

}  // namespace bakeoff
