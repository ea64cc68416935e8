#include "harness/load/ranks.h"

#include "core/base/errors.h"

namespace bakeoff {

bool is_leader(const Ranks* ranks) { return ranks == nullptr || ranks->number() == 0; }

void together(Ranks* ranks, const std::function<void()>& step) {
  if (ranks == nullptr) return step();
  // The first letter is the kind: fine, usage, or start.
  std::string own = "f";
  try {
    step();
  } catch (const UsageError& error) {
    own = std::string("u") + error.what();
  } catch (const std::exception& error) {
    own = std::string("s") + error.what();
  }
  const std::vector<std::string> all = ranks->gather(own);
  std::string first = "f";
  for (std::uint32_t rank = 0; rank < all.size() && first == "f"; ++rank) {
    first = all[rank];
    if (rank != 0 && first != "f") first.insert(1, "host " + ranks->host(rank) + ": ");
  }
  first = ranks->spread(first);
  if (first[0] == 'u') throw UsageError(first.substr(1));
  if (first[0] == 's') throw StartError(first.substr(1));
}

}  // namespace bakeoff
