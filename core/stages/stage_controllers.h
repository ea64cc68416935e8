// The three controllers that keep a SEDA stage within its operating range (Welsh 2001, sections 4.2 and 4.3; the
// constants are those of the published source of Sandstorm and Haboob). They only decide, without threads, locks or
// I/O; the caller passes measurements and the time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bakeoff {

enum class Decision : std::uint8_t { keep, raise, lower };

// How many threads a stage has: one more while its queue stays long, one less when a thread finds nothing to do.
class ThreadPoolController {
 public:
  struct Settings {
    int least = 1;
    int most = 20;
    std::int64_t sample_ms = 2000;     // between two looks at the queue
    std::size_t queue_threshold = 10;  // events that wait
    int looks_per_decision = 4;        // of so many looks only the last one decides
    std::int64_t idle_ms = 1000;       // a thread that had nothing to do for so long may end
  };

  explicit ThreadPoolController(const Settings& settings) : settings_(settings) {}

  // Called every sample_ms: raise when one thread is to be added.
  Decision look(std::size_t queue_length, int threads);
  // A thread had nothing to do for idle_ms: whether it ends.
  bool may_end(int threads) const { return threads > settings_.least; }

  const Settings& settings() const { return settings_; }

 private:
  Settings settings_;
  int looks_ = 0;
};

// How many events a stage's thread takes at once: fewer, for their latency, as long as the stage's throughput does not
// suffer; more again when it does.
class BatchingController {
 public:
  struct Settings {
    std::size_t least = 2;
    std::size_t most = 1000;
    double factor = 1.2;
    double smoothing = 0.7;         // weight of the past in the average throughput
    std::int64_t window_ms = 1000;  // over which throughput is measured
    int windows_per_decision = 5;
    double low_water = 0.9;  // shares of the best throughput seen
    double high_water = 0.98;
    double very_low_water = 0.2;  // the load itself has changed: begin anew
    double very_high_water = 2;
  };

  BatchingController(const Settings& settings, std::int64_t now_ms)
      : settings_(settings), limit_(settings.most), window_began_ms_(now_ms) {}

  // The most events to take at once.
  std::size_t limit() const { return limit_; }
  // events: all that the stage has ever handled. Cheap while a window lasts.
  Decision observe(std::int64_t now_ms, std::uint64_t events);

 private:
  void lower();
  void raise();

  Settings settings_;
  std::size_t limit_;
  std::int64_t window_began_ms_;
  std::uint64_t events_ = 0;
  int windows_ = 0;
  double throughput_ = 0;  // events/s, smoothed
  double best_ = 0;
  bool lowering_ = true;
};

// Admits events to a stage at a rate, by a token bucket. The rate rises slowly while the 90th percentile of the
// response time is below its target, and is halved above it. (Sandstorm filled its bucket at most once per millisecond,
// and so never admitted more than 1000/s; this one is filled by the time that has passed.)
class OverloadController {
 public:
  struct Settings {
    double target_ms = 1000;
    std::size_t samples = 100;      // a decision after so many response times ...
    std::int64_t window_ms = 1000;  // ... or after so long, whichever comes first
    double percentile = 0.9;
    double smoothing = 0.7;  // weight of the past in the percentile
    double low_water = 0.9;  // shares of the target
    double high_water = 1.2;
    double increase_per_s = 0.5;
    double decrease_factor = 2;
    double least_per_s = 0.05;
    double most_per_s = 5000;
    double first_per_s = 10;
    double depth = 10;  // of the bucket: how many may come at once
  };

  OverloadController(const Settings& settings, std::int64_t now_ns);

  // Whether one event may enter now.
  bool admit(std::int64_t now_ns);
  // The event that was admitted last did not enter after all: another may enter in its place.
  void take_back_admission() { tokens_ = std::min(settings_.depth, tokens_ + 1); }
  // An event that was admitted is done.
  Decision done(std::int64_t now_ns, std::int64_t response_ns);

  double rate_per_s() const { return rate_per_s_; }
  double percentile_ms() const { return percentile_ms_; }  // smoothed

 private:
  Settings settings_;
  double rate_per_s_;
  double tokens_;
  std::int64_t filled_ns_;
  std::int64_t decided_ns_;
  std::vector<std::int64_t> responses_ns_;
  double percentile_ms_ = 0;
};

}  // namespace bakeoff
