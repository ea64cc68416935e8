// The programs that the harness runs: server binaries, the load generator, the ceiling. They stand beside `bakeoff`
// itself, or where $BAKEOFF_BIN says.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/plan/specification.h"
#include "harness/processes/child.h"

namespace bakeoff {

class Programs {
 public:
  explicit Programs(Reactor& reactor);
  // Servers from `dir`, another build's say; load generator and ceiling always from our own.
  Programs(Reactor& reactor, std::filesystem::path dir);

  Reactor& reactor() const { return reactor_; }
  const std::filesystem::path& dir() const { return dir_; }
  // The architectures that were built, in the order of their registration.
  static std::vector<std::string> architectures();
  // UsageError with the nearest name when there is no such program.
  std::filesystem::path find(const std::string& name) const;
  // What `NAME --describe` says; asked once. StartError when it does not say it.
  const nlohmann::json& describe(const std::string& architecture);

  // The program of a server, ours or an outside one.
  std::filesystem::path program_of(const ServerSpec& server) const;
  // What a server says of itself: its binary, or an outside one's definition.
  nlohmann::json description_of(const ServerSpec& server);
  // UsageError for the first server whose options or workers do not fit what it says of itself.
  void check(const Specification& spec);

 private:
  Reactor& reactor_;
  std::filesystem::path dir_;      // of servers
  std::filesystem::path own_dir_;  // of clients
  std::map<std::string, nlohmann::json> described_;
};

}  // namespace bakeoff
