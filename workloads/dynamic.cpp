// Files of specweb99 and, among them, replies that servers make up: one that takes processor time, one that waits.
#include <cmath>

#include "core/http/synthetic_reply.h"
#include "workloads/kinds.h"

namespace bakeoff {

void build_dynamic(const TomlTable& table, Workload& workload) {
  build_specweb99(table, workload);
  const double burn_share = table.number("burn_share", {0, 1});
  const double wait_share = table.number("wait_share", {0, 1});
  const double burn_s = table.duration_s("burn", {1e-6, static_cast<double>(SyntheticReply::most_burn_us) * 1e-6});
  const double wait_s = table.duration_s("wait", {1e-3, static_cast<double>(SyntheticReply::most_wait_ms) * 1e-3});
  const auto bytes = static_cast<std::uint64_t>(table.bytes("reply_bytes", {0, SyntheticReply::most_bytes}));
  const double static_share = 1 - burn_share - wait_share;
  if (static_share < 0) table.fail("wait_share", "expected no more than `burn_share` leaves of 1");
  if (burn_share + wait_share == 0) table.fail("wait_share", "expected it, or `burn_share`, above 0");

  std::vector<double> weights;
  for (std::uint32_t file = 0; file < workload.files.size(); ++file)
    weights.push_back(workload.popularity->share(file) * static_share);
  for (FileClass& one : workload.classes) one.share *= static_share;
  const auto add = [&](const char* name, double share, const SyntheticReply& reply) {
    if (share == 0) return;
    workload.files.add_made(target_of(reply), reply.bytes, static_cast<std::uint32_t>(workload.classes.size()));
    workload.classes.push_back({name, reply.bytes, share});
    weights.push_back(share);
  };
  add("burn", burn_share,
      {.burn_us = static_cast<std::uint64_t>(std::llround(burn_s * 1e6)), .wait_ms = 0, .bytes = bytes});
  add("wait", wait_share,
      {.burn_us = 0, .wait_ms = static_cast<std::uint64_t>(std::llround(wait_s * 1e3)), .bytes = bytes});
  workload.popularity = Popularity::weighted(weights);
}

}  // namespace bakeoff
