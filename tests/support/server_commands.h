// How programs that try servers of ours beside servers of others start them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/ground/programs.h"
#include "harness/plan/outside.h"

namespace bakeoff::test {

// One of ours, at a port that it chooses.
inline std::vector<std::string> own_server(Programs& programs, const std::string& name, const std::string& root) {
  return {programs.find(name).string(), "--root", root, "--address", "127.0.0.1", "--port", "0"};
}

struct OutsideCommand {
  std::vector<std::string> arguments;
  std::uint16_t port;
};

// One of others. `dir` is emptied, for its files.
inline OutsideCommand outside_server(const std::string& name, int workers, int connections, const std::string& root,
                                     const std::filesystem::path& dir) {
  Cell cell;
  cell.server = cell.architecture = name;
  cell.workers = workers;
  cell.connections = connections;
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  std::filesystem::permissions(dir, std::filesystem::perms::all);
  const std::uint16_t port = free_port();
  return {prepare_outside(load_outside(name), cell, root, dir, port), port};
}

}  // namespace bakeoff::test
