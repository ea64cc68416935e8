// The ceiling program beside the trials: what no server on this machine, at this minute, can beat by much.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "harness/ground/network.h"
#include "harness/ground/programs.h"
#include "harness/hosts/client_hosts.h"
#include "harness/machine/environment.h"
#include "harness/processes/server_process.h"
#include "harness/run/load_run.h"
#include "harness/run/trial_source.h"

namespace bakeoff {

class CeilingProbe {
 public:
  // `seconds`: of each reading; 0: there are none. Programs are started when first needed, and idle between their
  // readings. `network`: that they run in, made when first needed; empty: the harness's. `hosts`: that make the load,
  // as they make the trials'; nullptr: this one.
  CeilingProbe(Programs& programs, const Placement& placement, double seconds, std::optional<NetworkSpec> network,
               std::string address, ClientHosts* hosts)
      : programs_(programs),
        placement_(placement),
        seconds_(seconds),
        network_settings_(network),
        address_(std::move(address)),
        hosts_(hosts) {}

  bool is_read() const { return seconds_ > 0; }
  // For a canned reply of that size, at most 1 MiB. The reading after one trial is the one before the next when that
  // follows at once. What cannot be read is empty. BLOCKS: the reading's time.
  CeilingReading before(double body_bytes);
  CeilingReading after(double body_bytes);
  // One that takes turns with trials of these times; nullptr: there are no readings, or it did not start. It ends
  // before the probe does. BLOCKS: until its connections are open.
  std::unique_ptr<CeilingInTurns> begin(double body_bytes, LoadTimes times);

 private:
  class InTurns;
  friend class InTurns;
  struct Ceiling {
    std::unique_ptr<ServerProcess> server;
    CeilingReading last;
    SteadyTime last_at{};
  };
  Ceiling& ceiling_of(double body_bytes);  // in its network
  CeilingReading read(double body_bytes);
  Command load_command(const Ceiling& ceiling, LoadTimes times) const;

  Programs& programs_;
  const Placement& placement_;
  double seconds_;
  std::optional<NetworkSpec> network_settings_;
  std::string address_;
  ClientHosts* hosts_;
  std::unique_ptr<Network> network_;
  std::map<std::uint64_t, Ceiling> ceilings_;  // by the size of their canned reply
};

}  // namespace bakeoff
