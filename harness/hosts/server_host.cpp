#include "harness/hosts/server_host.h"

#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/hosts/kit.h"
#include "harness/hosts/remote_shell.h"

namespace bakeoff {
namespace {

constexpr const char* here_variable = "BAKEOFF_ON_SERVER_HOST";
constexpr const char* ended_mark = "bakeoff-ended ";
constexpr double sending_s = 600;

Kit whole_kit(const Programs& programs, const Specification& spec) {
  Kit kit;
  for (const char* name : {"bakeoff", "bakeoff-load", "bakeoff-ceiling"})
    kit.add(std::string("bin/") + name, programs.find(name));
  for (const char* name : {"bakeoff-load-ranks", "bakeoff-slowdisk"}) {
    try {
      kit.add(std::string("bin/") + name, programs.find(name));
    } catch (const StartError&) {  // not built; whoever needs it says so
    }
  }
  for (const ServerSpec& server : spec.servers)
    if (!server.outside) kit.add("bin/" + server.architecture, programs.find(server.architecture));
  // As an installed bakeoff has them.
  for (const char* folder :
       {"workloads", "architectures/presets", "harness/experiments", "harness/outside", "harness/slowdisk",
        "harness/profile", "results/reference", "results/schema", "results/figures", "results/page"}) {
    if (!std::filesystem::is_directory(data_dir() / folder)) continue;
    for (const char* ending : {".toml", ".json", ".css", ".js"})
      kit.add_all(std::string("share/bakeoff/") + folder, data_dir() / folder, ending);
  }
  return kit;
}

}  // namespace

bool is_server_elsewhere(const HostsSpec& hosts) {
  if (hosts.server_host.empty() || std::getenv(here_variable) != nullptr) return false;
  char name[HOST_NAME_MAX + 1] = {};
  gethostname(name, sizeof name - 1);
  return hosts.server_host != name;
}

int run_on_server_host(Programs& programs, const Specification& spec, const std::filesystem::path& folder,
                       const std::string& command, const std::vector<std::string>& options, bool resume) {
  const RemoteShell shell(programs.reactor(), spec.hosts);
  const std::string& host = spec.hosts.server_host;
  Kit kit = whole_kit(programs, spec);
  const std::filesystem::path place = kit.make();
  kit.copy_to(shell, {host});
  const std::filesystem::path there =
      place.parent_path() / ("run-" + folder.filename().string() + "-" + std::to_string(getpid()));
  const std::string quoted = shell_quoted(there.string()), here = shell_quoted(folder.string());
  // A new run takes its specification and inputs from a folder of their own.
  const std::string target = resume ? "/run" : "/given";
  shell.must_run({host}, "umask 077 && mkdir -p " + quoted + target + " && tar -xf - -C " + quoted + target, sending_s,
                 "tar -cf - -C " + here + " --exclude=./lock .");

  std::string words = shell_quoted((place / "bin" / "bakeoff").string()) + " " + command;
  if (!resume) words += " " + quoted + "/given/spec.toml";
  words += " --out " + quoted + "/run" + (resume ? " --resume" : "");
  for (const std::string& option : options) words += " " + shell_quoted(option);
  // Standard input ends with this process, whatever becomes of it, and with it the run there.
  const std::string script =
      std::string("exec 3<&0; ") + here_variable + "=yes BAKEOFF_KITS=" + shell_quoted(place.parent_path().string()) +
      " " + words + " </dev/null 2>&1 >/dev/null 3<&- & run=$!; (cat <&3 >/dev/null; kill $run 2>/dev/null) " +
      ">/dev/null 2>&1 & watch=$!; exec 3<&-; wait $run; echo \"" + ended_mark + "$?\"; kill $watch 2>/dev/null";
  std::fprintf(stderr, "the run takes place on %s, in %s\n", host.c_str(), (there / "run").c_str());
  std::optional<std::string> ending;
  {
    Child child(programs.reactor(),
                {{"/bin/sh", "-c",
                  "sleep 2147483647 | { " + shell.line(host, script) + "; echo " + std::string(ended_mark) + "lost; }"},
                 {}});
    while (!ending) {
      const auto line = child.read_line(after_s(1));
      if (!line && child.has_ended()) break;
      if (!line) continue;
      if (line->starts_with(ended_mark)) {
        ending = line->substr(std::string(ended_mark).size());
      } else {
        std::fprintf(stderr, "%s\n", visible(*line, "\t").c_str());
      }
    }
    child.stop();
    if (!ending || *ending == "lost")
      throw StartError("host " + host + " was lost: " + visible(child.errors().substr(0, 400)) +
                       "; what it has measured is there in " + (there / "run").string());
  }
  output_of(programs.reactor(),
            {{"/bin/sh", "-c",
              shell.line(host, "if [ -d " + quoted + "/run ]; then tar -cf - -C " + quoted +
                                   "/run --exclude=./lock .; rm -rf " + quoted + "; else tar -cf - -T /dev/null; fi") +
                  " | tar -xf - -C " + here},
             {}},
            sending_s);
  return std::atoi(ending->c_str());
}

}  // namespace bakeoff
