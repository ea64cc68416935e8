#include "harness/run/ceiling_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/machine/evidence.h"
#include "harness/run/load_report.h"
#include "harness/run/load_run.h"

namespace bakeoff {
namespace {

constexpr std::uint32_t connections = 64;
constexpr double warmup_s = 0.05;
constexpr double fresh_s = 1;  // how long a reading stands for the minute it was taken in
constexpr double longest_turn_s = 30;
constexpr double largest_body_bytes = 1 << 20;

std::uint64_t canned_bytes(double body_bytes) {
  return static_cast<std::uint64_t>(std::llround(std::min(largest_body_bytes, body_bytes)));
}

// cpu_share: what it used of its processor, in the measured time.
CeilingReading reading_of(const nlohmann::json& report, double cpu_share) {
  CeilingReading reading;
  reading.replies_per_s = optional_number(report, "replies_per_s");
  if (reading.replies_per_s && *reading.replies_per_s > 0 && cpu_share > 0)
    reading.cpu_us_per_reply = cpu_share / *reading.replies_per_s * 1e6;
  return reading;
}

}  // namespace

class CeilingProbe::InTurns : public CeilingInTurns {
 public:
  InTurns(CeilingProbe& probe, double body_bytes, LoadTimes times)
      : turns_(times.turns),
        ceiling_(probe.ceiling_of(body_bytes)),
        load_(probe.programs_.reactor(), probe.load_command(ceiling_, times)),
        side_(ceiling_.server->group(), {}) {
    works_ = load_.open();
  }

  void turn() override {
    works_ = works_ && load_.turn(longest_turn_s);
    if (!works_) return;
    if (done_ == 0) from_ = side_.sample();
    if (done_ == turns_) to_ = side_.sample();
    ++done_;
  }

  CeilingReading finish() override {
    if (!load_.has_ended()) load_.release();
    if (!works_ || done_ <= turns_ || !load_.wait_for_end(after_s(longest_turn_s)) || load_.child().exit_status() != 0)
      return {};
    const nlohmann::json report = parse_untrusted_or_discard(load_.child().rest_of_output());
    if (!report.is_object()) return {};
    const double measured_s = optional_number(report, "duration_s").value_or(0);
    return reading_of(report, measured_s > 0 ? (to_.cpu_s - from_.cpu_s) / measured_s : 0);
  }

 private:
  std::uint32_t turns_;
  std::uint32_t done_ = 0;
  bool works_ = false;
  Ceiling& ceiling_;
  LoadRun load_;
  SideProbe side_;
  SideUse from_, to_;
};

std::unique_ptr<CeilingInTurns> CeilingProbe::begin(double body_bytes, LoadTimes times) {
  if (!is_read()) return nullptr;
  try {
    if (network_settings_ && !network_) network_ = std::make_unique<Network>(*network_settings_);
    const Network::Inside inside(network_.get());
    return std::make_unique<InTurns>(*this, body_bytes, times);
  } catch (const StartError&) {
    return nullptr;  // the trials will lack its reading
  }
}

CeilingProbe::Ceiling& CeilingProbe::ceiling_of(double body_bytes) {
  const std::uint64_t body = canned_bytes(body_bytes);
  Ceiling& ceiling = ceilings_[body];
  // One that has died is started anew, so that one bad moment does not void all trials that are left.
  if (ceiling.server && ceiling.server->has_ended()) ceiling = {};
  if (!ceiling.server) {
    ceiling.server =
        std::make_unique<ServerProcess>(programs_.reactor(), "bakeoff-ceiling",
                                        Command{{programs_.find("bakeoff-ceiling").string(), "--address", address_,
                                                 "--port", "0", "--body-bytes", std::to_string(body)},
                                                placement_.server_processors});
  }
  return ceiling;
}

CeilingReading CeilingProbe::before(double body_bytes) {
  if (!is_read()) return {};
  const auto known = ceilings_.find(canned_bytes(body_bytes));
  if (known != ceilings_.end() && known->second.last.replies_per_s &&
      std::chrono::duration<double>(std::chrono::steady_clock::now() - known->second.last_at).count() < fresh_s)
    return known->second.last;
  return read(body_bytes);
}

CeilingReading CeilingProbe::after(double body_bytes) { return is_read() ? read(body_bytes) : CeilingReading{}; }

Command CeilingProbe::load_command(const Ceiling& ceiling, LoadTimes times) const {
  const std::uint32_t least = hosts_ == nullptr ? connections : std::max(connections, hosts_->ranks());
  Command command{
      {programs_.find("bakeoff-load").string(), fmt::format("http://{}/", authority(address_, ceiling.server->port())),
       "--connections", std::to_string(least), "--warmup", fmt::format("{:.3f}s", times.warmup_s), "--duration",
       fmt::format("{:.3f}s", times.duration_s), "--announce", "--json", "-"},
      placement_.client_processors};
  if (times.turns != 0)
    command.arguments.insert(command.arguments.end(), {"--turns", std::to_string(times.turns), "--hold", longest_hold});
  return hosts_ == nullptr ? command : hosts_->as_ranks(command);
}

CeilingReading CeilingProbe::read(double body_bytes) {
  if (network_settings_ && !network_) network_ = std::make_unique<Network>(*network_settings_);
  const Network::Inside inside(network_.get());
  Ceiling& ceiling = ceiling_of(body_bytes);
  CeilingReading reading;
  const Command command = load_command(ceiling, {warmup_s, seconds_});
  try {
    LoadRun load(programs_.reactor(), command, hosts_ != nullptr);
    SideProbe probe(ceiling.server->group(), {});
    const auto begins = load.measured_from();
    if (!begins) {
      load.child().stop();
      if (hosts_ != nullptr) hosts_->clean_up();
      return reading;
    }
    programs_.reactor().wait_until([&] { return load.has_ended(); }, load.at(0));
    const SideUse from = probe.sample();
    programs_.reactor().wait_until([&] { return load.has_ended(); }, load.at(1));
    const SideUse to = probe.sample();
    if (load.wait_for_end(after_s(30)) && load.child().exit_status() == 0) {
      reading = reading_of(parse_untrusted(load.child().rest_of_output(), "the ceiling's report"),
                           (to.cpu_s - from.cpu_s) / load.measured_between_s(from.at, to.at));
    } else if (hosts_ != nullptr) {
      load.child().stop();
      hosts_->clean_up();
    }
  } catch (const StartError&) {
  } catch (const UsageError&) {
  } catch (const nlohmann::json::exception&) {
  }
  ceiling.last = reading;
  ceiling.last_at = std::chrono::steady_clock::now();
  return reading;
}

}  // namespace bakeoff
