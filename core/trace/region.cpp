#include "core/trace/region.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/errors.h"

namespace bakeoff {
namespace {

constexpr const char* region_name = "bakeoff-trace";
constexpr std::string_view region_magic = "bakeoff trace 1";

}  // namespace

TraceRegion::TraceRegion(int events)
    : TraceRegion(VisibleMemory(region_name,
                                sizeof(Header) + most_lanes * TraceRing::bytes_for(static_cast<std::size_t>(events)),
                                "what is recorded (--trace-events)")) {
  BAKEOFF_CHECK(0 < events && events <= most_events);
  region_magic.copy(header_->magic, sizeof header_->magic - 1);
  header_->events = static_cast<std::uint64_t>(events);
}

TraceRegion::TraceRegion(VisibleMemory memory)
    : memory_(std::move(memory)), header_(static_cast<Header*>(memory_.data())) {}

TraceRegion TraceRegion::of_process(pid_t pid) {
  const std::string who = "process " + std::to_string(pid);
  VisibleMemory memory =
      VisibleMemory::of_process(pid, region_name, " records nothing; start the server with --trace-events=65536");
  const auto strange = [&]() {
    return UsageError(who + " records as another build does; use the bakeoff of that build");
  };
  if (memory.bytes() < sizeof(Header)) throw strange();
  TraceRegion region(std::move(memory));
  const std::uint64_t events = region.header_->events;
  if (region_magic != std::string_view(region.header_->magic, region_magic.size()) || events == 0 ||
      events > most_events || region.memory_.bytes() != sizeof(Header) + most_lanes * TraceRing::bytes_for(events)) {
    throw strange();
  }
  return region;
}

TraceRing* TraceRegion::ring(std::uint32_t number) const {
  auto* const first = reinterpret_cast<std::byte*>(header_ + 1);
  return reinterpret_cast<TraceRing*>(first + number * TraceRing::bytes_for(header_->events));
}

TraceRing* TraceRegion::claim() {
  const std::uint32_t number = header_->claimed.fetch_add(1, std::memory_order_relaxed);
  return number < most_lanes ? ring(number) : nullptr;
}

std::vector<TraceLane> TraceRegion::read() const {
  const std::int64_t now_ns = monotonic_ns();
  const std::uint32_t claimed = std::min(header_->claimed.load(std::memory_order_acquire), most_lanes);
  std::vector<TraceLane> lanes;
  for (std::uint32_t number = 0; number < claimed; ++number) {
    const TraceRing& one = *ring(number);
    if (one.has_begun()) lanes.push_back(one.read(TraceRing::bytes_for(header_->events), now_ns));
  }
  return lanes;
}

std::uint32_t TraceRegion::unrecorded() const {
  const std::uint32_t claimed = header_->claimed.load(std::memory_order_relaxed);
  return claimed > most_lanes ? claimed - most_lanes : 0;
}

}  // namespace bakeoff
