#include "harness/load/recorder.h"

#include <numeric>

#include "core/check.h"

namespace bakeoff {

std::string_view name_of(LoadError error) {
  static constexpr std::array<std::string_view, load_error_count> names = {
      "connect_refused", "connect_timeout", "timeout",     "reset",     "closed_early",   "bad_status",
      "wrong_length",    "wrong_bytes",     "malformed", "fd_unavailable", "address_unavailable", "other"};
  return names[static_cast<std::size_t>(error)];
}

void Recorder::failed(std::uint32_t class_index, std::int64_t sent_ns, LoadError error, std::int64_t now_ns) {
  busy(sent_ns, now_ns);
  if (!inside(now_ns)) return;
  ++errors_[static_cast<std::size_t>(error)];
  classes_[class_index].timeouts += error == LoadError::timeout || error == LoadError::connect_timeout;
}

std::uint64_t Recorder::errors() const { return std::accumulate(errors_.begin(), errors_.end(), std::uint64_t{0}); }

void Recorder::merge(const Recorder& other) {
  BAKEOFF_CHECK(classes_.size() == other.classes_.size() && own_schedule_ == other.own_schedule_);
  start_ns_ = other.start_ns_;
  end_ns_ = other.end_ns_;
  replies_ += other.replies_;
  verified_ += other.verified_;
  body_bytes_ += other.body_bytes_;
  received_bytes_ += other.received_bytes_;
  reconnects_ += other.reconnects_;
  in_flight_at_end_ += other.in_flight_at_end_;
  busy_ns_ += other.busy_ns_;
  for (std::size_t i = 0; i < errors_.size(); ++i) errors_[i] += other.errors_[i];
  from_send_.merge(other.from_send_);
  from_schedule_.merge(other.from_schedule_);
  send_lag_.merge(other.send_lag_);
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    classes_[i].attempts += other.classes_[i].attempts;
    classes_[i].replies += other.classes_[i].replies;
    classes_[i].timeouts += other.classes_[i].timeouts;
  }
  slots_.insert(slots_.end(), other.slots_.begin(), other.slots_.end());
}

double jain_index(const std::vector<SlotTally>& slots) {
  double sum = 0, squares = 0;
  for (const SlotTally& slot : slots) {
    sum += slot.replies;
    squares += static_cast<double>(slot.replies) * slot.replies;
  }
  return squares == 0 ? 1 : sum * sum / (static_cast<double>(slots.size()) * squares);
}

std::uint64_t starved(const std::vector<SlotTally>& slots) {
  return static_cast<std::uint64_t>(std::count_if(slots.begin(), slots.end(), [](const SlotTally& slot) { return slot.replies == 0; }));
}

}  // namespace bakeoff
