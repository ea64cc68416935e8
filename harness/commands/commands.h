// The sub-commands of `bakeoff`, one function each. They return the exit status, and throw UsageError (2), StartError
// (4) and Interrupted (130).
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "harness/processes/reactor.h"

namespace bakeoff {

namespace exit_status {
constexpr int fine = 0;
constexpr int policy_failed = 1;
constexpr int usage = 2;
constexpr int undecided = 3;
constexpr int not_started = 4;
constexpr int interrupted = 130;
}  // namespace exit_status

using Arguments = std::vector<std::string>;  // without the sub-command

struct SubCommand {
  const char* name;
  const char* arguments;
  const char* summary;
  int (*run)(Reactor& reactor, const Arguments& arguments);
  bool passes_options_on = false;  // it has none of its own
};

// What every exit status says, in one sentence each.
const std::vector<std::pair<int, const char*>>& exit_statuses();

// In the order in which help shows them.
const std::vector<SubCommand>& sub_commands();

int run_command(Reactor& reactor, const Arguments& arguments);
int tune_command(Reactor& reactor, const Arguments& arguments);
int peak_command(Reactor& reactor, const Arguments& arguments);
int plan_command(Reactor& reactor, const Arguments& arguments);
int check_command(Reactor& reactor, const Arguments& arguments);
int compare_command(Reactor& reactor, const Arguments& arguments);
int explain_command(Reactor& reactor, const Arguments& arguments);
int new_command(Reactor& reactor, const Arguments& arguments);
int stats_command(Reactor& reactor, const Arguments& arguments);
int list_command(Reactor& reactor, const Arguments& arguments);
int serve_command(Reactor& reactor, const Arguments& arguments);
int verify_command(Reactor& reactor, const Arguments& arguments);
int trace_command(Reactor& reactor, const Arguments& arguments);
int micro_command(Reactor& reactor, const Arguments& arguments);
int report_command(Reactor& reactor, const Arguments& arguments);
int figures_command(Reactor& reactor, const Arguments& arguments);
int bundle_command(Reactor& reactor, const Arguments& arguments);
int doctor_command(Reactor& reactor, const Arguments& arguments);
int completion_command(Reactor& reactor, const Arguments& arguments);
int man_command(Reactor& reactor, const Arguments& arguments);

// "runs/quick-20240501-120000", and a number after it when two runs begin in one second.
std::filesystem::path fresh_folder(const std::string& name);

}  // namespace bakeoff
