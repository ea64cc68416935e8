#include "harness/run/experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/ground/file_sets.h"
#include "harness/ground/network.h"
#include "harness/hosts/client_hosts.h"
#include "harness/machine/environment.h"
#include "harness/machine/profile.h"
#include "harness/plan/plan.h"
#include "harness/processes/processor_lock.h"
#include "harness/run/progress.h"
#include "harness/run/trial_runner.h"
#include "harness/run/turns.h"
#include "harness/run/warm_up.h"
#include "results/tables.h"

namespace bakeoff {
namespace {

using nlohmann::json;

// A server's start and end, the client's start, the ceiling's warm-up: what a trial takes beside its own times.
constexpr double trial_overhead_s = 0.4;
// Mounting a disk, filling its cache and unmounting it.
constexpr double slow_disk_overhead_s = 0.8;

// A whole JSON file; null when it is not valid.
json json_of(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return {};
  json read = parse_untrusted_or_discard(read_untrusted(file, most_json_bytes));
  return read.is_discarded() ? json() : read;
}

// One cell of each server configuration: how much load there is does not change what is served.
std::vector<const Cell*> cells_to_verify(const std::vector<Cell>& cells) {
  std::vector<const Cell*> chosen;
  std::set<std::string> seen;
  for (const Cell& cell : cells) {
    std::string configuration = cell.server + "/" + contest_of(cell);
    for (const auto& [key, value] : cell.options) {
      if (key != "connections") configuration += "/" + key + "=" + value;
    }
    if (seen.insert(configuration).second) chosen.push_back(&cell);
  }
  return chosen;
}

void verify_all(TrialRunner& runner, const std::vector<Cell>& cells, const FileSets& file_sets, Talk talk) {
  const std::vector<const Cell*> chosen = cells_to_verify(cells);
  Progress progress(chosen.size(), 1, talk);
  for (const Cell* cell : chosen) {
    const std::string name = cell->server + (cell->variant.empty() ? "" : " with " + cell->variant);
    progress.begin("verifying " + name);
    const KeptConnections kept = runner.verify(*cell);
    progress.end("verified " + name + ": " + std::to_string(file_sets.of(*cell).workload.files.size()) + " files");
    if (kept.one_request_each() && !file_sets.of(*cell).workload.clients.requests_per_connection)
      progress.say(name + " closes the connection after each reply: every request pays for a new one");
  }
}

class Run {
 public:
  Run(Programs& programs, const Specification& spec, RunFolder& folder, Search search, Talk talk)
      : programs_(programs),
        spec_(spec),
        search_(search),
        talk_(talk),
        folder_(folder),
        campaign_(campaign_of(spec, folder, search)) {}

  ExperimentResult run() {
    const Placement placement = place(spec_);
    if (const std::string note = network_note(spec_); talk_ == Talk::normal && !note.empty())
      std::fprintf(stderr, "%s\n", note.c_str());
    if (spec_.hosts.any()) {
      hosts_ = std::make_shared<ClientHosts>(programs_, spec_);
      for (const std::string& note : hosts_->notes())
        if (talk_ == Talk::normal) std::fprintf(stderr, "%s\n", note.c_str());
    }
    note_environment(placement);
    const ProcessorLock lock(placement.occupied);
    note_plan();
    try {
      const FileSets file_sets(programs_.reactor(), spec_, campaign_.planned());
      TrialRunner runner(programs_, spec_, file_sets, placement, hosts_);
      verify_all(runner, campaign_.planned(), file_sets, talk_);
      find_warm_ups(runner);
      measure(runner);
    } catch (...) {
      // An error while saving must not hide what ended the run.
      try {
        write_result(false);
      } catch (const std::exception&) {
      }
      throw;
    }
    return write_result(true);
  }

 private:
  static Campaign campaign_of(const Specification& spec, RunFolder& folder, Search search) {
    try {
      return {spec, plan_cells(spec, workload_name(spec)), folder.read_trials(), search};
    } catch (const UsageError& error) {
      throw UsageError(folder.path().string() + ": " + error.what());
    }
  }

  void note_environment(const Placement& placement) {
    environment_ = capture_environment(spec_, programs_, placement);
    if (hosts_) environment_["hosts"] = hosts_->facts();
    const std::filesystem::path file = folder_.path() / "environment.json";
    if (campaign_.trials().empty() || !std::filesystem::exists(file)) {
      folder_.write("environment.json", json_text(environment_, 2) + "\n");
      return;
    }
    // Trials of two builds or two machines in one result would be a comparison of nothing.
    const json before = json_of(file);
    for (const char* part : {"binaries", "kernel", "cpu", "processors", "placement", "network", "hosts"}) {
      if (!before.is_object() || before.value(part, json()) != environment_.value(part, json())) {
        throw UsageError(folder_.path().string() + ": since its first trials the " + part +
                         " changed; begin a new run");
      }
    }
    environment_ = before;
  }

  void note_plan() {
    json cells = json::array(), order = json::array();
    for (const Cell& cell : campaign_.planned()) {
      cells.push_back({{"id", cell.id},
                       {"server", cell.server},
                       {"architecture", cell.architecture},
                       {"options", cell.options},
                       {"connections", cell.connections},
                       {"workers", cell.workers},
                       {"rate", cell.rate ? json(*cell.rate) : json(nullptr)},
                       {"workload_set", cell.workload_set}});
    }
    for (const TrialKey& key : campaign_.sweep()) order.push_back({{"block", key.block}, {"cell", key.cell_id}});
    const json plan = {{"schema_version", result_schema_version},
                       {"name", spec_.name},
                       {"scale", spec_.scale},
                       {"profile", spec_.profile},
                       {"search", command_of(search_)},
                       {"cells", cells},
                       {"sweep", order},
                       {"final_trials", spec_.final_trials}};
    folder_.write("plan.json", json_text(plan, 1) + "\n");
  }

  // A resumed run warms up as it did before.
  void find_warm_ups(TrialRunner& runner) {
    const std::filesystem::path file = folder_.path() / "warmup.json";
    if (std::filesystem::exists(file)) {
      try {
        for (const json& one : json_of(file)) warm_ups_.push_back(warm_up_from_json(one));
        return;
      } catch (const json::exception& error) {
        throw UsageError(file.string() + ": damaged: " + plain_words(error));
      }
    }
    if (needs_pilot(spec_)) {
      const std::vector<Cell>& cells = campaign_.planned();
      Progress progress(pilot_cells(cells).size() * pilot_repeats, 2 * spec_.longest_warmup_s + trial_overhead_s,
                        talk_);
      warm_ups_ = bakeoff::find_warm_ups(spec_, cells, {&runner}, progress);
      for (const WarmUp& one : warm_ups_) {
        progress.say(fmt::format("warm-up{}: {:.0f} ms, set by the slowest to settle, {}",
                                 one.contest.empty() ? "" : " with " + one.contest, one.seconds * 1e3, one.slowest));
        for (const std::string& server : one.unsettled)
          progress.say(server + " did not settle within the longest warm-up; its figures stand");
      }
    }
    json all = json::array();
    for (const WarmUp& one : warm_ups_) all.push_back(to_json(one));
    folder_.write("warmup.json", json_text(all, 1) + "\n");
  }

  void measure(TrialRunner& runner) {
    const std::size_t steps = campaign_.steps(), done = std::min(steps, campaign_.steps_done());
    Progress progress(steps - done, expected_trial_s(spec_), talk_);
    if (done > 0) progress.say(fmt::format("going on: {} of {} trials are there", done, steps));
    campaign_.run(
        runner, warm_ups_, progress, [this](const Trial& trial) { folder_.append(trial); },
        [this](const std::string& path) { folder_.write("path.txt", path); });
  }

  ExperimentResult write_result(bool complete) {
    ExperimentResult result = make_result(spec_, campaign_.cells(), campaign_.trials(), warm_ups_, environment_);
    if (search_ == Search::peak) result.turn_s = 0;  // rates are schedules, which cannot take turns
    result.complete = complete;
    result.peaks = campaign_.peaks();
    folder_.write("result.json", json_text(to_json(result), 1) + "\n");
    folder_.write("tables.txt", tables(result) + profile_table(result));
    return result;
  }

  Programs& programs_;
  const Specification& spec_;
  Search search_;
  Talk talk_;
  RunFolder& folder_;
  Campaign campaign_;
  std::vector<WarmUp> warm_ups_;
  json environment_;
  std::shared_ptr<ClientHosts> hosts_;
};

}  // namespace

double expected_trial_s(const Specification& spec) {
  return spec.warmup_s + spec.duration_s + ceiling_time_s(spec) + trial_overhead_s +
         (has_slow_disk(spec) ? slow_disk_overhead_s : 0);
}

double expected_run_s(const Specification& spec, const std::vector<Cell>& cells) {
  const Campaign campaign(spec, cells, {}, Search::full);
  const double pilots = needs_pilot(spec) ? static_cast<double>(pilot_cells(cells).size() * pilot_repeats) : 0;
  return expected_trial_s(spec) * static_cast<double>(campaign.steps()) +
         pilots * (2 * spec.longest_warmup_s + trial_overhead_s);
}

ExperimentResult run_experiment(Programs& programs, const Specification& spec, RunFolder& folder, Search search,
                                Talk talk) {
  return Run(programs, spec, folder, search, talk).run();
}

void verify_experiment(Programs& programs, const Specification& spec) {
  const std::vector<Cell> cells = plan_cells(spec, workload_name(spec));
  const FileSets file_sets(programs.reactor(), spec, cells);
  Specification without_ceiling = spec;
  without_ceiling.ceiling_s = 0;
  TrialRunner runner(programs, without_ceiling, file_sets, place(spec));
  verify_all(runner, cells, file_sets, Talk::normal);
}

}  // namespace bakeoff
