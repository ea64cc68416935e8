#include "core/http/synthetic_reply.h"

#include <time.h>

#include <charconv>

namespace bakeoff {
namespace {

constexpr std::string_view beginning = "/dynamic/burn-";

// Takes a number and the words behind it off the front of `rest`.
bool take(std::string_view& rest, std::uint64_t& number, std::uint64_t most, std::string_view behind) {
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (error != std::errc() || number > most) return false;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  if (!rest.starts_with(behind)) return false;
  rest.remove_prefix(behind.size());
  return true;
}

std::int64_t thread_time_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

std::string target_of(const SyntheticReply& reply) {
  return std::string(beginning) + std::to_string(reply.burn_us) + "us/wait-" + std::to_string(reply.wait_ms) +
         "ms/size-" + std::to_string(reply.bytes);
}

std::optional<SyntheticReply> parse_synthetic_reply(std::string_view target) {
  if (!target.starts_with(beginning)) return std::nullopt;
  target.remove_prefix(beginning.size());
  SyntheticReply reply;
  if (!take(target, reply.burn_us, SyntheticReply::most_burn_us, "us/wait-")) return std::nullopt;
  if (!take(target, reply.wait_ms, SyntheticReply::most_wait_ms, "ms/size-")) return std::nullopt;
  if (!take(target, reply.bytes, SyntheticReply::most_bytes, "") || !target.empty()) return std::nullopt;
  return reply;
}

void burn(std::uint64_t burn_us) {
  if (burn_us == 0) return;
  const std::int64_t end_ns = thread_time_ns() + static_cast<std::int64_t>(burn_us) * 1000;
  while (thread_time_ns() < end_ns) {
  }
}

}  // namespace bakeoff
