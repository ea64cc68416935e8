#include "core/stages/stage_controllers.h"

#include <algorithm>

namespace bakeoff {

Decision ThreadPoolController::look(std::size_t queue_length, int threads) {
  if (++looks_ % settings_.looks_per_decision != 0) return Decision::keep;
  return queue_length >= settings_.queue_threshold && threads < settings_.most ? Decision::raise : Decision::keep;
}

Decision BatchingController::observe(std::int64_t now_ms, std::uint64_t events) {
  const std::int64_t passed_ms = now_ms - window_began_ms_;
  if (passed_ms < settings_.window_ms) return Decision::keep;
  const double now = static_cast<double>(events - events_) * 1000 / static_cast<double>(passed_ms);
  throughput_ = settings_.smoothing * throughput_ + (1 - settings_.smoothing) * now;
  events_ = events;
  window_began_ms_ = now_ms;
  if (++windows_ % settings_.windows_per_decision != 0) return Decision::keep;

  const std::size_t before = limit_;
  if (throughput_ < settings_.very_low_water * best_ || throughput_ >= settings_.very_high_water * best_) {
    limit_ = settings_.most;
    lowering_ = true;
  }
  if (lowering_) {
    if (throughput_ <= settings_.low_water * best_) {
      lowering_ = false;
      raise();
    } else {
      lower();
    }
    best_ = std::max(best_, throughput_);
  } else {
    best_ = std::max(best_, throughput_);
    if (throughput_ >= settings_.high_water * best_) {
      lowering_ = true;
      lower();
    } else {
      raise();
      if (limit_ == settings_.most) {  // there is no more: what there is now is the best
        lowering_ = true;
        best_ = throughput_;
      }
    }
  }
  return limit_ > before ? Decision::raise : limit_ < before ? Decision::lower : Decision::keep;
}

// By at least one, or truncation would hold a small limit where it is.
void BatchingController::raise() {
  const auto raised = static_cast<std::size_t>(static_cast<double>(limit_) * settings_.factor);
  limit_ = std::min(settings_.most, std::max(limit_ + 1, raised));
}

void BatchingController::lower() {
  limit_ = std::max(settings_.least, static_cast<std::size_t>(static_cast<double>(limit_) / settings_.factor));
}

OverloadController::OverloadController(const Settings& settings, std::int64_t now_ns)
    : settings_(settings),
      rate_per_s_(settings.first_per_s),
      tokens_(settings.depth),
      filled_ns_(now_ns),
      decided_ns_(now_ns) {
  responses_ns_.reserve(settings.samples);
}

bool OverloadController::admit(std::int64_t now_ns) {
  if (now_ns > filled_ns_) {  // threads that share a controller read their clocks before they take its lock
    tokens_ = std::min(settings_.depth, tokens_ + rate_per_s_ * static_cast<double>(now_ns - filled_ns_) * 1e-9);
    filled_ns_ = now_ns;
  }
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

Decision OverloadController::done(std::int64_t now_ns, std::int64_t response_ns) {
  responses_ns_.push_back(response_ns);
  if (responses_ns_.size() < settings_.samples && now_ns - decided_ns_ < settings_.window_ms * 1'000'000) {
    return Decision::keep;
  }
  const auto place = responses_ns_.begin() +
                     static_cast<std::ptrdiff_t>(settings_.percentile * static_cast<double>(responses_ns_.size()));
  std::nth_element(responses_ns_.begin(), place, responses_ns_.end());
  percentile_ms_ =
      settings_.smoothing * percentile_ms_ + (1 - settings_.smoothing) * static_cast<double>(*place) * 1e-6;
  responses_ns_.clear();
  decided_ns_ = now_ns;

  const double before = rate_per_s_;
  if (percentile_ms_ < settings_.low_water * settings_.target_ms) {
    rate_per_s_ = std::min(settings_.most_per_s, rate_per_s_ + settings_.increase_per_s);
  } else if (percentile_ms_ > settings_.high_water * settings_.target_ms) {
    rate_per_s_ = std::max(settings_.least_per_s, rate_per_s_ / settings_.decrease_factor);
  }
  return rate_per_s_ > before ? Decision::raise : rate_per_s_ < before ? Decision::lower : Decision::keep;
}

}  // namespace bakeoff
