#include "harness/load/recorder.h"

#include <nlohmann/json.hpp>
#include <numeric>

#include "core/base/check.h"

namespace bakeoff {

std::string_view name_of(LoadError error) {
  static constexpr std::array<std::string_view, load_error_count> names = {
      "connect_refused",     "connect_timeout", "timeout",     "reset",     "closed_early",
      "bad_status",          "wrong_length",    "wrong_bytes", "malformed", "fd_unavailable",
      "address_unavailable", "unreachable",     "other"};
  return names[static_cast<std::size_t>(error)];
}

bool is_of_server(LoadError error) {
  switch (error) {
    case LoadError::fd_unavailable:
    case LoadError::address_unavailable:
    case LoadError::unreachable:
    case LoadError::other: return false;
    default: return true;
  }
}

std::string_view name_of(TimeoutPhase phase) {
  static constexpr std::array<std::string_view, timeout_phase_count> names = {"connect", "send", "first_byte", "body"};
  return names[static_cast<std::size_t>(phase)];
}

void Recorder::turn_to_second(std::int64_t now_ns) {
  second_ = static_cast<std::size_t>((now_ns - start_ns_) / second_ns);
  second_start_ns_ = start_ns_ + static_cast<std::int64_t>(second_) * second_ns;
  if (seconds_.size() <= second_) seconds_.resize(second_ + 1);
}

void Recorder::connection_ended(std::int64_t began_ns, std::int64_t now_ns) {
  if (now_ns < start_ns_ || now_ns > end_ns_) return;
  const auto lifetime_ns = static_cast<std::uint64_t>(now_ns - began_ns);
  if (wire_.lifetimes.count() == 0 || lifetime_ns < wire_.least_lifetime_ns) wire_.least_lifetime_ns = lifetime_ns;
  wire_.lifetimes.record(now_ns - began_ns);
  wire_.squared_lifetimes_s2 += static_cast<double>(lifetime_ns) * static_cast<double>(lifetime_ns) * 1e-18;
}

void WireTally::merge(const WireTally& other) {
  for (std::size_t i = 0; i < statuses.size(); ++i) statuses[i] += other.statuses[i];
  head_bytes += other.head_bytes;
  content_bytes += other.content_bytes;
  footer_bytes += other.footer_bytes;
  response_ns += other.response_ns;
  transfer_ns += other.transfer_ns;
  requests += other.requests;
  request_bytes += other.request_bytes;
  connects += other.connects;
  connect_ns += other.connect_ns;
  most_connections += other.most_connections;
  longest_burst = std::max(longest_burst, other.longest_burst);
  if (other.lifetimes.count() != 0)
    least_lifetime_ns =
        lifetimes.count() == 0 ? other.least_lifetime_ns : std::min(least_lifetime_ns, other.least_lifetime_ns);
  lifetimes.merge(other.lifetimes);
  squared_lifetimes_s2 += other.squared_lifetimes_s2;
}

nlohmann::ordered_json WireTally::to_json() const {
  return {{"statuses", statuses},
          {"sums",
           {head_bytes, content_bytes, footer_bytes, response_ns, transfer_ns, requests, request_bytes, connects,
            connect_ns, most_connections, longest_burst, least_lifetime_ns}},
          {"lifetimes", lifetimes.to_json()},
          {"squared_lifetimes_s2", squared_lifetimes_s2}};
}

WireTally WireTally::from_json(const nlohmann::ordered_json& json) {
  WireTally wire;
  wire.statuses = json.at("statuses");
  std::size_t at = 0;
  for (std::uint64_t* sum : {&wire.head_bytes, &wire.content_bytes, &wire.footer_bytes, &wire.response_ns,
                             &wire.transfer_ns, &wire.requests, &wire.request_bytes, &wire.connects, &wire.connect_ns,
                             &wire.most_connections, &wire.longest_burst, &wire.least_lifetime_ns})
    *sum = json.at("sums").at(at++);
  wire.lifetimes = Histogram::from_json(json.at("lifetimes"));
  wire.squared_lifetimes_s2 = json.at("squared_lifetimes_s2");
  return wire;
}

void Recorder::failed(std::uint32_t class_index, std::int64_t sent_ns, LoadError error, std::int64_t now_ns) {
  busy(sent_ns, now_ns);
  if (!inside(now_ns)) return;
  ++errors_[static_cast<std::size_t>(error)];
  ++second_at(now_ns).errors;
  classes_[class_index].timeouts += error == LoadError::timeout || error == LoadError::connect_timeout;
}

std::uint64_t Recorder::errors() const { return std::accumulate(errors_.begin(), errors_.end(), std::uint64_t{0}); }

void Recorder::merge(const Recorder& other) {
  // One that has recorded nothing yet takes the other's form.
  if (classes_.empty()) {
    classes_.resize(other.classes_.size());
    own_schedule_ = other.own_schedule_;
  }
  BAKEOFF_CHECK(classes_.size() == other.classes_.size() && own_schedule_ == other.own_schedule_);
  start_ns_ = other.start_ns_;
  end_ns_ = end_ns_ == never_ns ? other.end_ns_ : std::max(end_ns_, other.end_ns_);
  attempts_in_all_ += other.attempts_in_all_;
  replies_ += other.replies_;
  verified_ += other.verified_;
  body_bytes_ += other.body_bytes_;
  received_bytes_ += other.received_bytes_;
  reconnects_ += other.reconnects_;
  reissued_ += other.reissued_;
  in_flight_at_end_ += other.in_flight_at_end_;
  offered_ += other.offered_;
  found_no_connection_ += other.found_no_connection_;
  busy_ns_ += other.busy_ns_;
  held_back_ns_ += other.held_back_ns_;
  paused_ns_ += other.paused_ns_;
  opening_ns_ += other.opening_ns_;
  for (std::size_t i = 0; i < timeout_phases_.size(); ++i) timeout_phases_[i] += other.timeout_phases_[i];
  if (seconds_.size() < other.seconds_.size()) seconds_.resize(other.seconds_.size());
  for (std::size_t i = 0; i < other.seconds_.size(); ++i) {
    seconds_[i].replies += other.seconds_[i].replies;
    seconds_[i].received_bytes += other.seconds_[i].received_bytes;
    seconds_[i].errors += other.seconds_[i].errors;
    seconds_[i].latency_sum_ns += other.seconds_[i].latency_sum_ns;
    seconds_[i].latency_max_ns = std::max(seconds_[i].latency_max_ns, other.seconds_[i].latency_max_ns);
  }
  for (std::size_t i = 0; i < errors_.size(); ++i) errors_[i] += other.errors_[i];
  from_send_.merge(other.from_send_);
  from_schedule_.merge(other.from_schedule_);
  send_lag_.merge(other.send_lag_);
  wire_.merge(other.wire_);
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    classes_[i].attempts += other.classes_[i].attempts;
    classes_[i].replies += other.classes_[i].replies;
    classes_[i].timeouts += other.classes_[i].timeouts;
    classes_[i].latency.merge(other.classes_[i].latency);
  }
  slots_.insert(slots_.end(), other.slots_.begin(), other.slots_.end());
}

nlohmann::ordered_json Recorder::to_json() const {
  using Json = nlohmann::ordered_json;
  Json classes = Json::array(), slots = Json::array(), seconds = Json::array();
  for (const ClassTally& tally : classes_)
    classes.push_back({tally.attempts, tally.replies, tally.timeouts, tally.latency.to_json()});
  for (const SlotTally& slot : slots_) slots.push_back({slot.replies, slot.opened, slot.asked});
  for (const SecondTally& second : seconds_)
    seconds.push_back(
        {second.replies, second.received_bytes, second.errors, second.latency_sum_ns, second.latency_max_ns});
  return {{"window_ns", {start_ns_, end_ns_}},
          {"own_schedule", own_schedule_},
          {"counts",
           {replies_, verified_, body_bytes_, received_bytes_, reconnects_, in_flight_at_end_, offered_,
            found_no_connection_, attempts_in_all_, reissued_}},
          {"busy_ns", busy_ns_},
          {"held_back_ns", held_back_ns_},
          {"paused_ns", paused_ns_},
          {"opening_ns", opening_ns_},
          {"errors", errors_},
          {"timeout_phases", timeout_phases_},
          {"from_send", from_send_.to_json()},
          {"from_schedule", from_schedule_.to_json()},
          {"send_lag", send_lag_.to_json()},
          {"wire", wire_.to_json()},
          {"classes", classes},
          {"slots", slots},
          {"seconds", seconds}};
}

Recorder Recorder::from_json(const nlohmann::ordered_json& json) {
  Recorder recorder(0, 0, json.at("own_schedule"));
  recorder.start_ns_ = json.at("window_ns").at(0);
  recorder.end_ns_ = json.at("window_ns").at(1);
  std::size_t at = 0;
  for (std::uint64_t* count :
       {&recorder.replies_, &recorder.verified_, &recorder.body_bytes_, &recorder.received_bytes_,
        &recorder.reconnects_, &recorder.in_flight_at_end_, &recorder.offered_, &recorder.found_no_connection_,
        &recorder.attempts_in_all_, &recorder.reissued_})
    *count = json.at("counts").at(at++);
  recorder.busy_ns_ = json.at("busy_ns");
  recorder.held_back_ns_ = json.at("held_back_ns");
  recorder.paused_ns_ = json.at("paused_ns");
  recorder.opening_ns_ = json.at("opening_ns");
  recorder.errors_ = json.at("errors");
  recorder.timeout_phases_ = json.at("timeout_phases");
  recorder.from_send_ = Histogram::from_json(json.at("from_send"));
  recorder.from_schedule_ = Histogram::from_json(json.at("from_schedule"));
  recorder.send_lag_ = Histogram::from_json(json.at("send_lag"));
  recorder.wire_ = WireTally::from_json(json.at("wire"));
  for (const auto& tally : json.at("classes"))
    recorder.classes_.push_back({tally.at(0), tally.at(1), tally.at(2), Histogram::from_json(tally.at(3))});
  for (const auto& slot : json.at("slots")) recorder.slots_.push_back({slot.at(0), slot.at(1), slot.at(2)});
  for (const auto& second : json.at("seconds"))
    recorder.seconds_.push_back({second.at(0), second.at(1), second.at(2), second.at(3), second.at(4)});
  return recorder;
}

double jain_index(const std::vector<SlotTally>& slots) {
  double sum = 0, squares = 0;
  for (const SlotTally& slot : slots) {
    sum += slot.replies;
    squares += static_cast<double>(slot.replies) * slot.replies;
  }
  return squares == 0 ? 1 : sum * sum / (static_cast<double>(slots.size()) * squares);
}

std::uint64_t Recorder::starved_slots() const {
  return static_cast<std::uint64_t>(std::count_if(slots_.begin(), slots_.end(), [&](const SlotTally& slot) {
    return slot.replies == 0 && (slot.asked || !own_schedule_);
  }));
}

}  // namespace bakeoff
