// The programs that the harness runs: server binaries, the load generator, the ceiling. They stand beside `bakeoff`
// itself, or where $BAKEOFF_BIN says.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/child.h"
#include "harness/specification.h"

namespace bakeoff {

class Programs {
 public:
  explicit Programs(Reactor& reactor);
  Programs(Reactor& reactor, std::filesystem::path dir) : reactor_(reactor), dir_(std::move(dir)) {}

  Reactor& reactor() const { return reactor_; }
  const std::filesystem::path& dir() const { return dir_; }
  // The architectures that were built, in the order of their registration.
  static std::vector<std::string> architectures();
  // UsageError with the nearest name when there is no such program.
  std::filesystem::path find(const std::string& name) const;
  // What `NAME --describe` says; asked once. StartError when it does not say it.
  const nlohmann::json& describe(const std::string& architecture);

  // UsageError for the first server whose options or workers its binary would refuse.
  void check(const Specification& spec);

 private:
  Reactor& reactor_;
  std::filesystem::path dir_;
  std::map<std::string, nlohmann::json> described_;
};

}  // namespace bakeoff
