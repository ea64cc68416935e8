#include "harness/machine/environment.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "harness/ground/cgroup.h"
#include "harness/ground/network.h"
#include "harness/ground/slow_disk.h"
#include "harness/machine/process_probe.h"
#include "harness/processes/affinity.h"
#include "results/sha256.h"

namespace bakeoff {
namespace {

using nlohmann::json;

json first_line_of(const std::string& file) {
  const auto text = read_small_file(file);
  if (!text) return nullptr;
  return text->substr(0, text->find('\n'));
}

json cpu_model() {
  const auto text = read_small_file("/proc/cpuinfo");
  if (!text) return nullptr;
  const std::size_t label = text->find("model name");
  if (label == std::string::npos) return nullptr;
  const std::size_t begin = text->find(": ", label) + 2;
  return text->substr(begin, text->find('\n', begin) - begin);
}

json sysctls() {
  json values = json::object();
  for (const char* name :
       {"net.core.somaxconn", "net.ipv4.tcp_congestion_control", "net.ipv4.tcp_max_syn_backlog",
        "net.ipv4.ip_local_port_range", "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
        "net.core.rmem_max", "net.core.wmem_max", "net.ipv4.tcp_slow_start_after_idle", "fs.file-max", "fs.nr_open",
        "vm.swappiness", "kernel.task_delayacct"}) {
    std::string path = name;
    std::replace(path.begin(), path.end(), '.', '/');
    values[name] = first_line_of("/proc/sys/" + path);
  }
  return values;
}

json limit(decltype(RLIMIT_NOFILE) which) {
  rlimit value{};
  if (getrlimit(which, &value) != 0 || value.rlim_max == RLIM_INFINITY) return nullptr;
  return value.rlim_max;
}

// What stands in for a disk, in the specification's words, and which version of the control groups bounds the server.
json disk(const Specification& spec) {
  if (!spec.disk) return nullptr;
  const DiskSpec& asked = *spec.disk;
  json used = {{"kind", asked.model.empty() ? "own" : "slowdisk"}};
  if (!asked.model.empty())
    used.update({{"model", asked.model}, {"set", asked.model_overrides}, {"cache_bytes", asked.cache_bytes}});
  if (asked.memory_bytes > 0)
    used.update({{"memory_bytes", asked.memory_bytes}, {"memory_cgroup_version", cgroup_version("memory")}});
  if (asked.reads_per_s > 0) used["reads_per_s"] = asked.reads_per_s;
  if (asked.read_bytes_per_s > 0) used["read_bytes_per_s"] = asked.read_bytes_per_s;
  if (asked.reads_per_s > 0 || asked.read_bytes_per_s > 0) used["io_cgroup_version"] = cgroup_version("blkio");
  return used;
}

json git_revision(Reactor& reactor) {
  for (const char* git : {"/usr/bin/git", "/usr/local/bin/git"}) {
    if (access(git, X_OK) != 0) continue;
    try {
      std::string revision = output_of(
          reactor,
          {{git, "-C", data_dir().string(), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"}, {}}, 5);
      while (!revision.empty() && revision.back() == '\n') revision.pop_back();
      return revision;
    } catch (const StartError&) {
      return nullptr;  // not a repository: an installed bakeoff
    }
  }
  return nullptr;
}

}  // namespace

json capture_environment(const Specification& spec, const Programs& programs, const Placement& placement) {
  utsname names{};
  uname(&names);
  json binaries = json::object();
  for (const char* name : {"bakeoff-load", "bakeoff-ceiling"}) binaries[name] = sha256_of_file(programs.find(name));
  if (has_slow_disk(spec)) binaries["bakeoff-slowdisk"] = sha256_of_file(slow_disk_program(programs));
  for (const ServerSpec& server : spec.servers) {
    if (!binaries.contains(server.architecture))
      binaries[server.architecture] = sha256_of_file(programs.program_of(server));
  }
  const json outer_sysctls = sysctls();
  // Sysctls and the interface are those that the trials will have.
  const bool own_network = has_own_network(spec);
  const std::optional<Network> network =
      own_network ? std::optional<Network>(std::in_place, spec.network) : std::nullopt;
  const Network::Inside inside(network ? &*network : nullptr);
  json trial_sysctls = sysctls();
  for (auto& [name, value] : trial_sysctls.items())
    if (value.is_null()) value = outer_sysctls.at(name);  // of the whole machine, and only seen outside
  json described = describe_network();
  described["own"] = own_network;
  return {{"captured", utc_now()},
          {"kernel", std::string(names.sysname) + " " + names.release + " " + names.machine},
          {"cpu", cpu_model()},
          {"processors", usable_processors().size()},
          {"governor", first_line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")},
          {"memory_bytes", static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE)},
          {"transparent_hugepage", first_line_of("/sys/kernel/mm/transparent_hugepage/enabled")},
          {"proactive_reclaim", proactive_reclaim()},
          {"sysctls", trial_sysctls},
          {"limits",
           {{"open_files", limit(RLIMIT_NOFILE)},
            {"processes", limit(RLIMIT_NPROC)},
            {"locked_memory_bytes", limit(RLIMIT_MEMLOCK)}}},
          {"git_revision", git_revision(programs.reactor())},
          {"binaries", binaries},
          {"disk", disk(spec)},
          {"network", described},
          {"topology", to_json(read_topology(usable_processors()))},
          {"placement",
           {{"server_processors", placement.server_processors},
            {"client_processors", placement.client_processors},
            {"harness_processors", placement.harness_processors},
            {"note", placement.note.empty() ? json() : json(placement.note)}}}};
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace bakeoff
