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
constexpr double largest_body_bytes = 1 << 20;

std::uint64_t canned_bytes(double body_bytes) {
  return static_cast<std::uint64_t>(std::llround(std::min(largest_body_bytes, body_bytes)));
}

}  // namespace

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

CeilingReading CeilingProbe::read(double body_bytes) {
  if (network_settings_ && !network_) network_ = std::make_unique<Network>(*network_settings_);
  const Network::Inside inside(network_.get());
  Ceiling& ceiling = ceiling_of(body_bytes);
  CeilingReading reading;
  Command command{
      {programs_.find("bakeoff-load").string(), fmt::format("http://{}/", authority(address_, ceiling.server->port())),
       "--connections", std::to_string(hosts_ == nullptr ? connections : std::max(connections, hosts_->ranks())),
       "--warmup", fmt::format("{:.3f}s", warmup_s), "--duration", fmt::format("{:.3f}s", seconds_), "--announce",
       "--json", "-"},
      placement_.client_processors};
  if (hosts_ != nullptr) command = hosts_->as_ranks(command);
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
      reading.replies_per_s =
          optional_number(parse_untrusted(load.child().rest_of_output(), "the ceiling's report"), "replies_per_s");
      const double cpu_share = (to.cpu_s - from.cpu_s) / load.measured_between_s(from.at, to.at);
      if (reading.replies_per_s && *reading.replies_per_s > 0 && cpu_share > 0)
        reading.cpu_us_per_reply = cpu_share / *reading.replies_per_s * 1e6;
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
