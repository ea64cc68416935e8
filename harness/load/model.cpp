#include "harness/load/model.h"

#include <algorithm>
#include <cmath>

namespace bakeoff {

namespace {

// A heavy tail may draw years; no run is that long.
constexpr double longest_wait_s = 1e6;

std::int64_t to_ns(double seconds) { return static_cast<std::int64_t>(std::clamp(seconds, 0.0, longest_wait_s) * 1e9); }

// Clients that all begin at once would go on in step: each begins at some point of its first pause.
std::int64_t first_pause_ns(const Distribution& pause_s, Random& random) {
  const double mean_s = pause_s.mean();
  return to_ns(random.unit() * (std::isfinite(mean_s) ? mean_s : pause_s.draw(random)));
}

}  // namespace

ClosedModel::ClosedModel(const Options& options, std::uint32_t slots, Random random) : options_(options), random_(random), slots_(slots) {}

Action ClosedModel::next(std::uint32_t slot, std::int64_t now_ns) {
  Slot& self = slots_[slot];
  if (options_.think_s) {
    if (!self.thought) {
      const bool first = !self.begun;
      self.thought = self.begun = true;
      return Action::wait(now_ns + (first ? first_pause_ns(*options_.think_s, random_) : to_ns(options_.think_s->draw(random_))));
    }
    self.thought = false;
  }
  if (options_.requests_per_connection == 0) return Action::send(now_ns, options_.pipeline);
  const std::uint32_t count = std::min(options_.pipeline, options_.requests_per_connection - self.sent);
  self.sent += count;
  const bool last = self.sent == options_.requests_per_connection;
  if (last) self.sent = 0;
  return Action::send(now_ns, count, last);
}

SessionModel::SessionModel(const ClientModel& clients, std::optional<Schedule> schedule, std::uint32_t slots, Random random)
    : clients_(clients), schedule_(std::move(schedule)), random_(random), slots_(slots) {}

void SessionModel::begin(std::int64_t now_ns) {
  if (schedule_) schedule_->begin(now_ns);
}

std::uint32_t SessionModel::draw_count(const std::optional<Distribution>& distribution) {
  if (!distribution) return 1;
  return static_cast<std::uint32_t>(std::clamp(std::round(distribution->draw(random_)), 1.0, 1e6));
}

std::int64_t SessionModel::draw_ns(const std::optional<Distribution>& distribution) { return distribution ? to_ns(distribution->draw(random_)) : 0; }

Action SessionModel::next(std::uint32_t slot, std::int64_t now_ns) {
  Slot& self = slots_[slot];
  std::int64_t scheduled_ns = now_ns;
  if (self.left_in_session == 0) {
    if (self.running) {
      self.running = false;
      ++counts_.completed;
    }
    if (schedule_) {
      const auto due_ns = schedule_->take(now_ns);
      if (!due_ns) return Action::park();
      scheduled_ns = *due_ns;
    } else if (!self.begun && clients_.inactive_off_s) {
      self.begun = true;
      return Action::wait(now_ns + first_pause_ns(*clients_.inactive_off_s, random_));
    }
    self.begun = self.running = true;
    ++counts_.started;
    self.left_in_session = draw_count(clients_.requests_per_session);
    self.left_in_burst = draw_count(clients_.requests_per_burst);
    self.thought = true;  // the first request goes at once
  }
  if (!self.thought) {
    self.thought = true;
    const bool burst_over = self.left_in_burst == 0;
    if (burst_over) self.left_in_burst = draw_count(clients_.requests_per_burst);
    const std::int64_t pause_ns = draw_ns(burst_over ? clients_.inactive_off_s : clients_.active_off_s);
    if (pause_ns > 0) return Action::wait(now_ns + pause_ns);
  }
  self.thought = false;
  --self.left_in_burst;
  --self.left_in_session;
  return Action::send(scheduled_ns, 1, self.left_in_session == 0);
}

void SessionModel::failed(std::uint32_t slot) {
  Slot& self = slots_[slot];
  counts_.failed += self.running;
  self.running = false;
  self.left_in_session = 0;
}

}  // namespace bakeoff
