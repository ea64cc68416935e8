// One file asked for over and over: always in memory, so that only the path of a request through the server counts
// (Pai et al., USENIX 1999, Figures 6 and 7).
#include "workloads/kinds.h"

namespace bakeoff {

void build_single_file(const TomlTable& table, Workload& workload) {
  const auto size = static_cast<std::uint64_t>(table.bytes("size_bytes", {0, std::int64_t{1} << 40}));
  workload.classes = {{"file", size, 1.0}};
  workload.files.add("/file", size);
  workload.popularity = Popularity::weighted({1.0});
}

}  // namespace bakeoff
