#include "harness/load/model.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

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

ClosedModel::ClosedModel(const Options& options, std::uint32_t slots, Random random)
    : options_(options), random_(random), slots_(slots) {}

Action ClosedModel::next(std::uint32_t slot, std::int64_t now_ns) {
  Slot& self = slots_[slot];
  if (options_.think_s) {
    if (!self.thought) {
      const bool first = !self.begun;
      self.thought = self.begun = true;
      return Action::wait(
          now_ns + (first ? first_pause_ns(*options_.think_s, random_) : to_ns(options_.think_s->draw(random_))));
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

void SessionCounts::merge(const SessionCounts& other) {
  const auto add = [](std::vector<std::uint64_t>& counts, const std::vector<std::uint64_t>& more) {
    if (counts.size() < more.size()) counts.resize(more.size());
    for (std::size_t i = 0; i < more.size(); ++i) counts[i] += more[i];
  };
  started += other.started;
  completed += other.completed;
  failed += other.failed;
  connections += other.connections;
  lifetime_ns += other.lifetime_ns;
  failtime_ns += other.failtime_ns;
  add(lengths, other.lengths);
  add(seconds, other.seconds);
  log_lost |= other.log_lost;
}

nlohmann::ordered_json SessionCounts::to_json() const {
  return {{"started", started},         {"completed", completed},     {"failed", failed},
          {"connections", connections}, {"lifetime_ns", lifetime_ns}, {"failtime_ns", failtime_ns},
          {"lengths", lengths},         {"seconds", seconds},         {"log_lost", log_lost}};
}

SessionCounts SessionCounts::from_json(const nlohmann::ordered_json& json) {
  return {json.at("started"),     json.at("completed"),   json.at("failed"),
          json.at("connections"), json.at("lifetime_ns"), json.at("failtime_ns"),
          json.at("lengths"),     json.at("seconds"),     json.at("log_lost")};
}

void SessionLedger::started(std::uint32_t slot, std::int64_t now_ns) {
  ++counts_.started;
  slots_[slot] = {now_ns, 0};
}

void SessionLedger::count_length(std::uint32_t replies) {
  if (counts_.lengths.size() <= replies) counts_.lengths.resize(replies + std::size_t{1});
  ++counts_.lengths[replies];
}

void SessionLedger::completed(std::uint32_t slot, std::uint32_t replies, std::int64_t now_ns) {
  ++counts_.completed;
  counts_.connections += slots_[slot].connections;
  counts_.lifetime_ns += now_ns - slots_[slot].started_ns;
  count_length(replies);
  const auto second = static_cast<std::size_t>(std::max<std::int64_t>(0, now_ns - begin_ns_) / 1'000'000'000);
  if (counts_.seconds.size() <= second) counts_.seconds.resize(second + 1);
  ++counts_.seconds[second];
}

void SessionLedger::failed(std::uint32_t slot, std::uint32_t replies, std::int64_t now_ns) {
  ++counts_.failed;
  counts_.failtime_ns += now_ns - slots_[slot].started_ns;
  count_length(replies);
}

SessionModel::SessionModel(const ClientModel& clients, std::optional<Schedule> schedule, std::uint32_t slots,
                           Random random)
    : clients_(clients), schedule_(std::move(schedule)), random_(random), slots_(slots), ledger_(slots) {}

void SessionModel::begin(std::int64_t now_ns) {
  ledger_.begin(now_ns);
  if (schedule_) schedule_->begin(now_ns);
}

std::uint32_t SessionModel::draw_count(const std::optional<Distribution>& distribution) {
  if (!distribution) return 1;
  return static_cast<std::uint32_t>(std::clamp(std::round(distribution->draw(random_)), 1.0, 1e6));
}

std::int64_t SessionModel::draw_ns(const std::optional<Distribution>& distribution) {
  return distribution ? to_ns(distribution->draw(random_)) : 0;
}

Action SessionModel::next(std::uint32_t slot, std::int64_t now_ns) {
  Slot& self = slots_[slot];
  std::int64_t scheduled_ns = now_ns;
  if (self.left_in_session == 0) {
    if (self.running) {
      self.running = false;
      ledger_.completed(slot, self.sent, now_ns);
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
    ledger_.started(slot, now_ns);
    self.sent = 0;
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
  ++self.sent;
  return Action::send(scheduled_ns, 1, self.left_in_session == 0);
}

void SessionModel::failed(std::uint32_t slot, std::uint32_t unanswered, std::int64_t now_ns) {
  Slot& self = slots_[slot];
  if (self.running) ledger_.failed(slot, self.sent - unanswered, now_ns);
  self.running = false;
  self.left_in_session = 0;
}

}  // namespace bakeoff
