#include "harness/ground/programs.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "core/toml/strict_toml.h"
#include "harness/plan/architectures.h"
#include "harness/plan/outside.h"

namespace bakeoff {
namespace {

std::filesystem::path program_dir() {
  if (const char* chosen = std::getenv("BAKEOFF_BIN"); chosen != nullptr && *chosen != '\0')
    return std::filesystem::absolute(chosen);
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

}  // namespace

Programs::Programs(Reactor& reactor) : Programs(reactor, program_dir()) {}
Programs::Programs(Reactor& reactor, std::filesystem::path dir)
    : reactor_(reactor), dir_(std::move(dir)), own_dir_(program_dir()) {}

std::vector<std::string> Programs::architectures() {
  std::vector<std::string> names;
  for (const ArchitectureEntry& one : architecture_entries()) names.push_back(one.name);
  return names;
}

std::filesystem::path Programs::find(const std::string& name) const {
  const std::filesystem::path program = (name.starts_with("bakeoff-") ? own_dir_ : dir_) / name;
  if (name.find('/') == std::string::npos && access(program.c_str(), X_OK) == 0) return program;
  const std::vector<std::string> known = architectures();
  if (std::find(known.begin(), known.end(), name) != known.end() || name.starts_with("bakeoff-")) {
    throw StartError(program.string() + " is not there; build it first");
  }
  const std::string near = nearest_word(name, known);
  throw UsageError("there is no architecture `" + name + "`; " +
                   (near.empty() ? "there are " + joined(known) : "did you mean `" + near + "`?"));
}

const nlohmann::json& Programs::describe(const std::string& architecture) {
  const auto known = described_.find(architecture);
  if (known != described_.end()) return known->second;
  const std::string text = output_of(reactor_, {{find(architecture).string(), "--describe"}, {}}, 10);
  try {
    nlohmann::json description = parse_untrusted(text, "");
    description.at("workers").at("max").get<std::uint32_t>();  // nothing but a description has that
    return described_.emplace(architecture, std::move(description)).first->second;
  } catch (const nlohmann::json::exception&) {
  } catch (const UsageError&) {
  }
  throw StartError(architecture + " --describe does not print a description: " +
                   visible(text.substr(0, text.find('\n')).substr(0, 200)));
}

std::filesystem::path Programs::program_of(const ServerSpec& server) const {
  return server.outside ? load_outside(server.definition).program() : find(server.architecture);
}

nlohmann::json Programs::description_of(const ServerSpec& server) {
  if (!server.outside) return describe(server.architecture);
  const OutsideServer outside = load_outside(server.definition);
  nlohmann::json options = outside.options;
  return {{"workers", {{"min", outside.least_workers}, {"max", outside.most_workers}}},
          {"connections_are_workers", outside.connections_are_workers},
          {"options", std::move(options)}};
}

void Programs::check(const Specification& spec) {
  std::vector<OutsideServer> outside;
  for (const ServerSpec& server : spec.servers) {
    if (server.outside) outside.push_back(load_outside(server.definition));
  }
  require_installed(outside);
  for (const ServerSpec& server : spec.servers) {
    const auto fail = [&](const std::string& what) {
      throw UsageError(server.where + ": server `" + server.name + "`: " + what);
    };
    try {
      program_of(server);
    } catch (const UsageError& error) {
      fail(error.what());
    }
    const nlohmann::json description = description_of(server);
    const auto least = description.at("workers").value("min", 1u);
    const auto most = description.at("workers").at("max").get<std::uint32_t>();
    for (const std::string& workers : server.workers) {
      for (const std::uint32_t connections : server.connections) {
        const auto count = workers == "connections" ? connections : static_cast<std::uint32_t>(std::stoul(workers));
        if (count < least || count > most) {
          fail("workers: " + server.architecture + " takes " +
               (least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most)) +
               ", got " + std::to_string(count));
        }
      }
    }
    const auto& factors = description.value("options", nlohmann::json::object());
    for (const auto& [key, values] : server.options) {
      const auto factor = factors.find(key);
      if (server.outside && factor == factors.end() && key != congestion_option) {
        std::vector<std::string> known = {congestion_option};
        for (const auto& [name, ignored] : factors.items()) known.push_back(name);
        fail(server.architecture + " has no option " + key + "; it has " + joined(known));
      }
      if (!server.outside && factor == factors.end()) {
        std::vector<std::string> known;
        for (const auto& [name, ignored] : factors.items()) known.push_back(name);
        const std::string near = nearest_word(key, known);
        fail(server.architecture + " has no option " + key +
             (near.empty() ? "; " + server.architecture + " --help lists those it has"
                           : "; did you mean " + near + "?"));
      }
      // Ours judge numbers and the like themselves.
      if (factor == factors.end() || !factor->is_array()) continue;
      const auto allowed = factor->get<std::vector<std::string>>();
      for (const std::string& value : values) {
        if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) continue;
        fail(allowed.empty() ? server.architecture + " has no option " + key
                             : key + ": expected " + joined(allowed) + ", got " + value);
      }
    }
  }
}

}  // namespace bakeoff
