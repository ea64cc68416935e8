// What happened: everything a run says about its server is counted here, in the measured window only (but for
// attempts_in_all). One recorder a worker; they are merged before anything is computed from them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <vector>

#include "harness/load/timers.h"
#include "results/histogram.h"

namespace bakeoff {

enum class LoadError : std::uint8_t {
  connect_refused,
  connect_timeout,
  timeout,  // a request's deadline passed, whether or not its reply came later
  reset,
  closed_early,  // the connection ended before the reply did
  bad_status,    // a complete reply, yet not a 2xx
  wrong_length,
  wrong_bytes,
  malformed,            // not HTTP, or more bytes than were announced
  fd_unavailable,       // EMFILE, ENFILE
  address_unavailable,  // EADDRNOTAVAIL: out of ports
  unreachable,          // ENETUNREACH, EHOSTUNREACH, ENETDOWN: no way there any more
  other,
};
constexpr std::size_t load_error_count = 13;
std::string_view name_of(LoadError error);
// Whether the server is to blame; else it is this machine, or the network.
bool is_of_server(LoadError error);

// Where a request was when its time was over.
enum class TimeoutPhase : std::uint8_t { connect, send, first_byte, body };
constexpr std::size_t timeout_phase_count = 4;
std::string_view name_of(TimeoutPhase phase);

// One second of the window.
struct SecondTally {
  std::uint64_t replies = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t errors = 0;
  std::uint64_t latency_sum_ns = 0;  // of the replies, from the schedule
  std::uint64_t latency_max_ns = 0;
};

struct ClassTally {
  std::uint64_t attempts = 0;
  std::uint64_t replies = 0;
  std::uint64_t timeouts = 0;
  Histogram latency;  // from the schedule
};

struct SlotTally {
  std::uint32_t replies = 0;
  bool opened = false;  // at any time, also before the window
  bool asked = false;   // since its last reply before the window
};

// Times of one request. scheduled_ns <= sent_ns; they differ where a model has a schedule of its own.
struct RequestTimes {
  std::int64_t scheduled_ns = 0;
  std::int64_t sent_ns = 0;
};

// What went over the wire, right or wrong, in httperf's terms: it is what httperf's summary is made of.
struct WireTally {
  std::array<std::uint64_t, 10> statuses{};  // complete replies by the first digit of their status
  std::uint64_t head_bytes = 0;              // of complete replies
  std::uint64_t content_bytes = 0;
  std::uint64_t footer_bytes = 0;
  std::uint64_t response_ns = 0;  // summed over complete replies: from the request's sending to the reply's first byte
  std::uint64_t transfer_ns = 0;  // and from there to its last
  std::uint64_t requests = 0;     // that were sent, those that went out twice counted twice
  std::uint64_t request_bytes = 0;
  std::uint64_t connects = 0;          // that were opened, also before the window
  std::uint64_t connect_ns = 0;        // summed over them
  std::uint64_t most_connections = 0;  // at once; summed over workers, hence at most that many
  std::uint64_t longest_burst = 0;     // of connections that were begun in one turn of a worker
  Histogram lifetimes;                 // of connections that had a reply and ended in the window or with it
  std::uint64_t least_lifetime_ns = 0;
  double squared_lifetimes_s2 = 0;  // their sum

  std::uint64_t replies() const { return std::accumulate(statuses.begin(), statuses.end(), std::uint64_t{0}); }
  void merge(const WireTally& other);
  nlohmann::ordered_json to_json() const;
  static WireTally from_json(const nlohmann::ordered_json& json);
};

class Recorder {
 public:
  // slots: connections of this worker; classes: groups of files; own_schedule: requests have a scheduled time apart
  // from the one at which they are sent, so that three histograms are kept instead of one.
  Recorder(std::uint32_t slots, std::uint32_t classes, bool own_schedule)
      : own_schedule_(own_schedule), classes_(classes), slots_(slots) {}

  // Nothing is counted outside [start_ns, end_ns). Both are never_ns until they are known.
  void set_window(std::int64_t start_ns, std::int64_t end_ns) {
    start_ns_ = start_ns;
    end_ns_ = end_ns;
  }
  std::int64_t start_ns() const { return start_ns_; }
  std::int64_t end_ns() const { return end_ns_; }

  void opened(std::uint32_t slot, std::int64_t now_ns) {
    reconnects_ += slots_[slot].opened && inside(now_ns);
    slots_[slot].opened = true;
  }
  void attempted(std::uint32_t slot, std::uint32_t class_index, std::int64_t now_ns) {
    ++attempts_in_all_;
    slots_[slot].asked = true;
    classes_[class_index].attempts += inside(now_ns);
  }
  // A request went out again, because its server had closed the connection between two replies.
  void reissued(std::int64_t now_ns) { reissued_ += inside(now_ns); }
  void received(std::uint64_t bytes, std::int64_t now_ns) {
    if (!inside(now_ns)) return;
    received_bytes_ += bytes;
    second_at(now_ns).received_bytes += bytes;
  }
  // Requests that went out together.
  void sent(std::uint64_t requests, std::uint64_t bytes, std::int64_t now_ns) {
    if (!inside(now_ns)) return;
    wire_.requests += requests;
    wire_.request_bytes += bytes;
  }
  // A complete reply, right or wrong.
  void completed(std::uint16_t status, std::uint32_t head_bytes, std::uint64_t content_bytes,
                 std::uint32_t footer_bytes, std::int64_t sent_ns, std::int64_t first_byte_ns, std::int64_t now_ns) {
    if (!inside(now_ns)) return;
    ++wire_.statuses[status / 100];
    wire_.head_bytes += head_bytes;
    wire_.content_bytes += content_bytes;
    wire_.footer_bytes += footer_bytes;
    wire_.response_ns += static_cast<std::uint64_t>(first_byte_ns - sent_ns);
    wire_.transfer_ns += static_cast<std::uint64_t>(now_ns - first_byte_ns);
  }
  void connected(std::int64_t began_ns, std::int64_t now_ns) {
    ++wire_.connects;
    wire_.connect_ns += static_cast<std::uint64_t>(now_ns - began_ns);
    opening_ns_ += within_window(began_ns, now_ns);
  }
  // So many are open or being opened, so many of them begun in this turn.
  void connecting(std::uint64_t at_once, std::uint64_t in_turn) {
    wire_.most_connections = std::max(wire_.most_connections, at_once);
    wire_.longest_burst = std::max(wire_.longest_burst, in_turn);
  }
  // A connection that had a reply and has ended.
  void connection_ended(std::int64_t began_ns, std::int64_t now_ns);
  // A client waits before it tries again, because its server failed it.
  void held_back(std::int64_t from_ns, std::int64_t to_ns) { held_back_ns_ += within_window(from_ns, to_ns); }
  // A connection waited for the end of the turn, since it may not send in it any more.
  void paused(std::int64_t from_ns, std::int64_t to_ns) { paused_ns_ += within_window(from_ns, to_ns); }
  // An open model's arrival, whether or not it can be sent in time.
  void offered(std::int64_t scheduled_ns) { offered_ += inside(scheduled_ns); }
  // One that was due when every connection was busy: sent late, or not at all.
  void found_no_connection(std::int64_t scheduled_ns) { found_no_connection_ += inside(scheduled_ns); }
  // A complete and correct reply.
  void replied(std::uint32_t slot, std::uint32_t class_index, const RequestTimes& times, std::uint64_t body_bytes,
               bool verified, std::int64_t now_ns) {
    busy(times.sent_ns, now_ns);
    if (now_ns < start_ns_) slots_[slot].asked = false;
    if (!inside(now_ns)) return;
    ++replies_;
    ++slots_[slot].replies;
    ++classes_[class_index].replies;
    body_bytes_ += body_bytes;
    verified_ += verified;
    from_send_.record(now_ns - times.sent_ns);
    const std::int64_t latency_ns = now_ns - (own_schedule_ ? times.scheduled_ns : times.sent_ns);
    SecondTally& second = second_at(now_ns);
    ++second.replies;
    second.latency_sum_ns += static_cast<std::uint64_t>(latency_ns);
    second.latency_max_ns = std::max(second.latency_max_ns, static_cast<std::uint64_t>(latency_ns));
    if (classes_.size() > 1) classes_[class_index].latency.record(latency_ns);
    if (own_schedule_) {
      from_schedule_.record(now_ns - times.scheduled_ns);
      send_lag_.record(times.sent_ns - times.scheduled_ns);
    }
  }
  // A request that ended in any other way. One that was never sent has sent_ns == now_ns.
  void failed(std::uint32_t class_index, std::int64_t sent_ns, LoadError error, std::int64_t now_ns);
  void timed_out(TimeoutPhase phase, std::int64_t now_ns) {
    timeout_phases_[static_cast<std::size_t>(phase)] += inside(now_ns);
  }
  // A request that had no end yet when the window's end came.
  void unfinished(std::int64_t sent_ns) {
    busy(sent_ns, end_ns_);
    ++in_flight_at_end_;
  }

  // Adds what another worker recorded in the same window; its slots follow the own ones.
  void merge(const Recorder& other);
  // All of it, to be merged in another process.
  nlohmann::ordered_json to_json() const;
  static Recorder from_json(const nlohmann::ordered_json& json);

  std::uint64_t replies() const { return replies_; }
  std::uint64_t verified_replies() const { return verified_; }
  std::uint64_t body_bytes() const { return body_bytes_; }
  std::uint64_t received_bytes() const { return received_bytes_; }
  std::uint64_t reconnects() const { return reconnects_; }
  std::uint64_t reissued() const { return reissued_; }
  std::uint64_t in_flight_at_end() const { return in_flight_at_end_; }
  std::uint64_t errors(LoadError error) const { return errors_[static_cast<std::size_t>(error)]; }
  std::uint64_t errors() const;
  std::uint64_t timeouts(TimeoutPhase phase) const { return timeout_phases_[static_cast<std::size_t>(phase)]; }
  // Of the whole run, the time before the window included: what the server was asked for in its life.
  std::uint64_t attempts_in_all() const { return attempts_in_all_; }
  std::uint64_t offered() const { return offered_; }
  std::uint64_t found_no_connection() const { return found_no_connection_; }
  const std::vector<SecondTally>& seconds() const { return seconds_; }  // as far as something happened
  double busy_s() const {
    return static_cast<double>(busy_ns_) * 1e-9;
  }  // summed over requests: time in flight within the window
  // Summed over connections: time within the window in which clients waited after their server's failures, and in which
  // they opened connections.
  double held_back_s() const { return static_cast<double>(held_back_ns_) * 1e-9; }
  double paused_s() const { return static_cast<double>(paused_ns_) * 1e-9; }
  double opening_s() const { return static_cast<double>(opening_ns_) * 1e-9; }
  const WireTally& wire() const { return wire_; }
  bool own_schedule() const { return own_schedule_; }
  const Histogram& from_send() const { return from_send_; }
  const Histogram& from_schedule() const { return own_schedule_ ? from_schedule_ : from_send_; }
  const Histogram& send_lag() const { return send_lag_; }
  const std::vector<ClassTally>& classes() const { return classes_; }
  const std::vector<SlotTally>& slots() const { return slots_; }
  // Slots without one reply. By a schedule there may be fewer requests than connections: there only those count that
  // were asked for something.
  std::uint64_t starved_slots() const;

 private:
  static constexpr std::int64_t second_ns = 1'000'000'000;

  // REQUIRES: inside(now_ns). Events come nearly in order, so that the second at hand is nearly always the right one.
  SecondTally& second_at(std::int64_t now_ns) {
    if (now_ns < second_start_ns_ || now_ns - second_start_ns_ >= second_ns) [[unlikely]]
      turn_to_second(now_ns);
    return seconds_[second_];
  }
  void turn_to_second(std::int64_t now_ns);
  bool inside(std::int64_t now_ns) const { return now_ns >= start_ns_ && now_ns < end_ns_; }
  std::int64_t within_window(std::int64_t from_ns, std::int64_t to_ns) const {
    return std::max<std::int64_t>(0, std::min(to_ns, end_ns_) - std::max(from_ns, start_ns_));
  }
  void busy(std::int64_t from_ns, std::int64_t to_ns) { busy_ns_ += within_window(from_ns, to_ns); }

  std::int64_t start_ns_ = never_ns;
  std::int64_t end_ns_ = never_ns;
  bool own_schedule_;
  std::uint64_t attempts_in_all_ = 0;
  std::uint64_t replies_ = 0;
  std::uint64_t verified_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::uint64_t received_bytes_ = 0;
  std::uint64_t reconnects_ = 0;
  std::uint64_t reissued_ = 0;
  std::uint64_t in_flight_at_end_ = 0;
  std::uint64_t offered_ = 0;
  std::uint64_t found_no_connection_ = 0;
  std::int64_t busy_ns_ = 0;
  std::int64_t held_back_ns_ = 0;
  std::int64_t paused_ns_ = 0;
  std::int64_t opening_ns_ = 0;
  std::size_t second_ = 0;
  std::int64_t second_start_ns_ = never_ns;
  std::vector<SecondTally> seconds_;
  std::array<std::uint64_t, timeout_phase_count> timeout_phases_{};
  std::array<std::uint64_t, load_error_count> errors_{};
  Histogram from_send_, from_schedule_, send_lag_;
  WireTally wire_;
  std::vector<ClassTally> classes_;
  std::vector<SlotTally> slots_;
};

// Jain's index of fairness over the slots' replies: 1 when all have the same, 1/n when one has all; 1 when there are
// none (Jain, Chiu, Hawe 1984; as SEDA uses it).
double jain_index(const std::vector<SlotTally>& slots);

}  // namespace bakeoff
