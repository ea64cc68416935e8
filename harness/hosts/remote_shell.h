// Commands on other hosts, by ssh or whatever stands in for it: [resources] agent.
#pragma once

#include <string>
#include <vector>

#include "harness/plan/hosts.h"
#include "harness/processes/child.h"

namespace bakeoff {

// As one word of a shell.
std::string shell_quoted(const std::string& text);
// A command that is looked for in $PATH.
Command by_path(std::vector<std::string> words);

class RemoteShell {
 public:
  RemoteShell(Reactor& reactor, const HostsSpec& hosts) : reactor_(reactor), agent_(hosts.agent) {}

  // What has a shell on that host run the script. Its standard input is empty.
  Command command(const std::string& host, const std::string& script) const;
  // The same as words for a shell of this host.
  std::string line(const std::string& host, const std::string& script) const;

  struct Answer {
    std::string host;
    std::string output;
    std::string error;  // why there is no output: a sentence that names the host; empty: all is well
  };
  // Runs it on all hosts at once. `from`: a command of this host whose output each of them reads. An error is reported
  // for a host that does not resolve, refuses, does not answer in time, or whose script fails. BLOCKS: network.
  std::vector<Answer> run(const std::vector<std::string>& hosts, const std::string& script, double timeout_s,
                          const std::string& from = "") const;
  // StartError with the first error.
  std::vector<Answer> must_run(const std::vector<std::string>& hosts, const std::string& script, double timeout_s,
                               const std::string& from = "") const;

 private:
  Reactor& reactor_;
  std::vector<std::string> agent_;
};

}  // namespace bakeoff
