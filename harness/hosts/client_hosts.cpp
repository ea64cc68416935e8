#include "harness/hosts/client_hosts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/hosts/host_facts.h"
#include "harness/processes/guard.h"
#include "workloads/workload.h"

namespace bakeoff {
namespace {

using nlohmann::json;

constexpr double answer_s = 30;
constexpr double longest_absence_s = 600;
// Below the ports that the kernel gives out by itself (32768 and on), so that a firewall can name them.
constexpr int first_port = 18100, ports = 100;

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : between) + word;
  return all;
}

// By rank.
std::string hosts_by_rank(const std::vector<ClientHost>& hosts) {
  std::vector<std::string> all;
  for (const ClientHost& host : hosts) all.insert(all.end(), host.ranks, host.name);
  return joined(all, ",");
}

std::vector<std::string> mpirun_words(const HostsSpec& spec, const std::vector<ClientHost>& hosts,
                                      const std::string& network, std::uint32_t ranks) {
  std::vector<std::string> slots;
  for (const ClientHost& host : hosts) slots.push_back(host.name + ":" + std::to_string(host.ranks));
  std::vector<std::string> words = {"mpirun", "-n", std::to_string(ranks), "--host", joined(slots, ",")};
  if (geteuid() == 0) words.emplace_back("--allow-run-as-root");
  words.insert(words.end(), {"--map-by", "slot", "--bind-to", "none"});
  const auto set = [&](const char* name, const std::string& value) {
    words.insert(words.end(), {"--mca", name, value});
  };
  set("plm", "rsh");
  set("plm_rsh_agent", joined(spec.agent, " "));
  // Each host is entered from here, since they need not be able to enter each other.
  set("plm_rsh_no_tree_spawn", "1");
  set("orte_startup_timeout", "30");
  set("oob_tcp_if_include", network);
  set("oob_tcp_dynamic_ipv4_ports", fmt::format("{}-{}", first_port + ports, first_port + 2 * ports - 1));
  // A host that is cut off is missed within seconds, and misses us as soon.
  set("oob_tcp_keepalive_time", "5");
  set("oob_tcp_keepalive_intvl", "2");
  set("oob_tcp_keepalive_probes", "3");
  set("btl_tcp_if_include", network);
  set("btl_tcp_port_min_v4", std::to_string(first_port));
  set("btl_tcp_port_range_v4", std::to_string(ports));
  set("btl", "tcp,vader,self");
  set("pml", "ob1");
  words.insert(words.end(), {"-x", "BAKEOFF_RANK_HOSTS=" + hosts_by_rank(hosts)});
  if (!guard_mark().empty()) words.insert(words.end(), {"-x", guard_mark()});
  return words;
}

std::vector<std::string> srun_words(const std::vector<ClientHost>& hosts, const std::string& network,
                                    std::uint32_t ranks) {
  const std::string names = hosts_by_rank(hosts);
  std::vector<std::string> words = {"env", "OMPI_MCA_btl_tcp_if_include=" + network, "OMPI_MCA_btl=tcp,vader,self",
                                    "OMPI_MCA_pml=ob1", "BAKEOFF_RANK_HOSTS=" + names};
  words.insert(words.end(), {"srun", "--overlap", "--quiet", "--mpi=pmix", "--kill-on-bad-exit=1",
                             "--ntasks=" + std::to_string(ranks), "--distribution=arbitrary", "--nodelist=" + names});
  return words;
}

}  // namespace

std::vector<std::string> launch_words(const HostsSpec& spec, const std::vector<ClientHost>& hosts,
                                      const std::string& network, const std::string& program) {
  std::uint32_t ranks = 0;
  for (const ClientHost& host : hosts) ranks += host.ranks;
  std::vector<std::string> words =
      spec.launcher == "srun" ? srun_words(hosts, network, ranks) : mpirun_words(spec, hosts, network, ranks);
  words.push_back(program);
  return words;
}

ClientHosts::ClientHosts(Programs& programs, const Specification& spec)
    : programs_(programs),
      spec_(spec),
      shell_(programs.reactor(), spec.hosts),
      network_(choose_network(spec.hosts, interface_addresses())),
      hosts_(spec.hosts.clients) {
  copy_kit();
  look_at_hosts();
}

void ClientHosts::copy_kit() {
  kit_.add("bin/bakeoff-load", programs_.find("bakeoff-load"));
  try {
    kit_.add("bin/bakeoff-load-ranks", programs_.find("bakeoff-load-ranks"));
  } catch (const StartError&) {
    throw StartError(
        "client hosts need bakeoff-load-ranks, which is built where CMake finds MPI: on Debian, install openmpi-bin "
        "and "
        "libopenmpi-dev and build again");
  }
  kit_.add_all("share/bakeoff/workloads", workloads_dir(), ".toml");
  std::vector<std::pair<std::string, std::string>> added;
  for (const Input& input : spec_.inputs) {
    // What servers read stays with them.
    if (input.kind == "preset" || input.kind == "outside" || input.kind == "disk" || input.kind == "hostfile") continue;
    const std::string name = fmt::format("inputs/{}/{}", added.size(), input.file.filename().string());
    kit_.add(name, input.file);
    added.emplace_back(input.file.string(), name);
  }
  const std::filesystem::path folder = kit_.make();
  for (const auto& [file, name] : added) copies_[file] = (folder / name).string();
  kit_.copy_to(shell_, names());
}

void ClientHosts::look_at_hosts() {
  const std::string bin = (kit_.folder() / "bin").string();
  // What the loader misses comes before what the program says.
  const std::string try_programs = fmt::format(
      R"sh(for p in bakeoff-load bakeoff-load-ranks; do
  lacks=$(ldd {0}/$p 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' | tr '\n' ' ')
  [ -z "$lacks" ] || {{ echo "$p lacks the libraries $lacks; install the packages that this host has" >&2; exit 1; }}
done
{0}/bakeoff-load --version)sh",
      bin);
  shell_.must_run(names(), try_programs, answer_s);
  for (const auto& answer : shell_.must_run(names(), facts_script(), answer_s))
    facts_[answer.host] = facts_of(answer.output, network_.of_ranks);
  facts_["here"] =
      facts_of(output_of(programs_.reactor(), by_path({"/bin/sh", "-c", facts_script()}), answer_s), network_.of_ranks);
  const json own_mpi = facts_.at("here").value("mpi", json());
  for (const ClientHost& host : hosts_) {
    const json& facts = facts_.at(host.name);
    if (facts.at("address").is_null())
      throw StartError(
          fmt::format("host {} has no address in {}, over which the ranks talk; see `interface` in "
                      "[resources]",
                      host.name, network_.of_ranks));
    if (spec_.hosts.launcher == "mpirun" && facts.value("mpi", json()) != own_mpi)
      throw StartError(fmt::format("host {} has {} and this one {}: install the same version of MPI on both", host.name,
                                   facts["mpi"].is_string() ? facts["mpi"].get<std::string>() : "no MPI in its $PATH",
                                   own_mpi.is_string() ? own_mpi.get<std::string>() : "none"));
    const std::string processors = facts.value("processors", json()).is_string() ? facts["processors"] : "";
    if (!processors.empty() && std::stoul(processors) < host.ranks)
      notes_.push_back(fmt::format("host {} has {} processors for {} ranks: they wait for each other", host.name,
                                   processors, host.ranks));
  }
  for (const std::string& difference : differences(facts_)) notes_.push_back(difference);
}

Command ClientHosts::as_ranks(const Command& load) const {
  std::vector<std::string> words =
      launch_words(spec_.hosts, hosts_, network_.of_ranks, (kit_.folder() / "bin" / "bakeoff-load-ranks").string());
  for (std::size_t i = 1; i < load.arguments.size(); ++i) {
    std::string word = load.arguments[i];
    for (const auto& [here, there] : copies_) {
      if (word == here || word.ends_with("=" + here)) word.replace(word.size() - here.size(), here.size(), there);
    }
    words.push_back(std::move(word));
  }
  Command command = by_path(std::move(words));
  command.processors = load.processors;
  command.cgroups = load.cgroups;
  return command;
}

std::uint32_t ClientHosts::ranks() const {
  std::uint32_t sum = 0;
  for (const ClientHost& host : hosts_) sum += host.ranks;
  return sum;
}

std::vector<std::string> ClientHosts::names() const {
  std::vector<std::string> all;
  for (const ClientHost& host : hosts_) all.push_back(host.name);
  return all;
}

void ClientHosts::clean_up() {
  lost_ = true;
  if (guard_mark().empty()) return;
  // Ranks end with the one that started them; one that hangs in the kernel, or a daemon of MPI's that does not notice,
  // is found by what it was started with.
  const std::string script =
      "for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/environ 2>/dev/null | grep -qxF " + shell_quoted(guard_mark()) +
      " && case $(cat $p/comm 2>/dev/null) in bakeoff-load*) kill -9 ${p#/proc/};; esac; done; exit 0";
  shell_.run(names(), script, answer_s);
}

void ClientHosts::make_ready() {
  if (!lost_) return;
  const SteadyTime give_up = after_s(longest_absence_s);
  for (bool said = false;; said = true) {
    std::vector<std::string> errors;
    std::vector<ClientHost> there;
    for (const auto& answer :
         shell_.run(names(), "test -d " + shell_quoted(kit_.folder().string()) + " || exit 9", 15)) {
      const auto host =
          std::find_if(hosts_.begin(), hosts_.end(), [&](const ClientHost& one) { return one.name == answer.host; });
      if (answer.error.empty()) {
        there.push_back(*host);
      } else {
        errors.push_back(answer.error);
      }
    }
    if (errors.empty()) break;
    if (spec_.hosts.lost == LostHost::go_on) {
      if (there.empty()) throw StartError("no client host is left: " + errors.front());
      std::fprintf(stderr, "%s; going on without it\n", errors.front().c_str());
      hosts_ = there;
      break;
    }
    if (std::chrono::steady_clock::now() > give_up)
      throw StartError(errors.front() + "; it was waited for ten minutes");
    if (!said) std::fprintf(stderr, "%s; waiting until it is back\n", errors.front().c_str());
    programs_.reactor().sleep_until(after_s(2));
    // One that was set up anew has lost its copy.
    try {
      kit_.copy_to(shell_, names());
    } catch (const StartError&) {
    }
  }
  lost_ = false;
}

}  // namespace bakeoff
