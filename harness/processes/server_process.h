// One server under test: started, ready, measured, stopped.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "harness/processes/child.h"

namespace bakeoff {

class ServerProcess {
 public:
  // Starts it and waits for its ready line. StartError "NAME did not start: ..." with what it said on standard error.
  ServerProcess(Reactor& reactor, const std::string& name, const Command& command, double timeout_s = 10);

  // A server of others, which says nothing when it is ready: it is when it takes connections on that port. StartError
  // with how it ended, its command line and what it said.
  ServerProcess(Reactor& reactor, const std::string& name, const Command& command, std::uint16_t port,
                double timeout_s = 10, const std::string& address = "127.0.0.1");

  std::uint16_t port() const { return port_; }
  pid_t group() const { return child_.pid(); }
  const nlohmann::json& ready() const { return ready_; }
  bool has_ended() { return child_.has_ended(); }
  // "died: killed by signal 11 (Segmentation fault); its last output: ...". BLOCKS: up to 1 s, for that output.
  std::string exit_reason();

  // SIGTERM, then after a bound SIGKILL. Returns the statistics line; null when there was none. BLOCKS: up to 5 s.
  nlohmann::json stop();
  bool stopped_in_order() const { return in_order_; }
  // "became a daemon (PID 123, h2o)": it started processes outside its process group, whose use of the processor is not
  // seen. Empty: it did not.
  std::string daemons() const;

 private:
  std::string cause_of_end() const;
  // Its command line and the end of its output.
  std::string what_it_was(const Command& command);

  Child child_;
  nlohmann::json ready_;
  std::uint16_t port_ = 0;
  bool in_order_ = true;
};

}  // namespace bakeoff
