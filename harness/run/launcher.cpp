#include "harness/run/launcher.h"

#include <unistd.h>

#include <algorithm>

#include "core/base/errors.h"
#include "harness/ground/interfaces.h"
#include "harness/plan/outside.h"
#include "harness/run/verifier.h"

namespace bakeoff {
namespace {

constexpr double outside_patience_s = 10;  // until a server of others takes connections

}  // namespace

Launcher::~Launcher() {
  std::error_code ignored;
  if (!scratch_.empty()) std::filesystem::remove_all(scratch_, ignored);
}

Launcher::Ground Launcher::lay(const Cell& cell, bool to_verify) {
  Ground ground;
  if (has_own_network(spec_)) {
    ground.network = std::make_unique<Network>(spec_.network);
    ground.inside = std::make_unique<Network::Inside>(ground.network.get());
  }
  if (!spec_.disk) return ground;
  const std::filesystem::path& root = file_sets_.of(cell).root;
  if (has_slow_disk(spec_)) {
    ground.disk = std::make_unique<SlowDisk>(programs_, spec_, cell, root, placement_.harness_processors, to_verify);
  }
  if (!to_verify && (spec_.disk->memory_bytes > 0 || spec_.disk->reads_per_s > 0 || spec_.disk->read_bytes_per_s > 0)) {
    ground.limits = std::make_unique<ServerLimits>(*spec_.disk, root);
  }
  return ground;
}

Command Launcher::server_command(std::vector<std::string> arguments, const Ground& ground) const {
  return {std::move(arguments), placement_.server_processors,
          ground.limits ? ground.limits->entrances() : std::vector<std::string>()};
}

std::unique_ptr<ServerProcess> Launcher::start(const Cell& cell, const Ground& ground) {
  const ServerSpec& server = spec_.server(cell.server);
  if (server.outside) return start_outside(cell, server.definition, ground);
  std::vector<std::string> arguments = {programs_.find(cell.architecture).string(),
                                        "--root",
                                        file_sets_.of(cell).root.string(),
                                        "--address",
                                        server_address(spec_.hosts),
                                        "--port",
                                        "0"};
  for (std::string& one : cell_arguments(cell, file_sets_.of(cell).workload)) arguments.push_back(std::move(one));
  const Command command = server_command(std::move(arguments), ground);
  return std::make_unique<ServerProcess>(programs_.reactor(), cell.server, command);
}

std::vector<std::string> cell_arguments(const Cell& cell, const Workload& workload) {
  std::vector<std::string> arguments = {"--workers", std::to_string(cell.workers)};
  for (const auto& [key, value] : cell.options) arguments.insert(arguments.end(), {"--" + key, value});
  if (workload.files.has_synthetic()) arguments.insert(arguments.end(), {"--dynamic", "on"});
  return arguments;
}

const std::filesystem::path& Launcher::scratch() {
  if (!scratch_.empty()) return scratch_;
  std::string pattern = (std::filesystem::temp_directory_path() / "bakeoff-scratch-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr)
    throw StartError("cannot make a directory in " + std::filesystem::temp_directory_path().string());
  scratch_ = pattern;
  return scratch_;
}

std::unique_ptr<ServerProcess> Launcher::start_outside(const Cell& cell, const std::string& definition,
                                                       const Ground& ground) {
  std::error_code ignored;
  // A fresh one each time, so that no trial finds what another left.
  const std::filesystem::path dir = scratch() / cell.server;
  std::filesystem::remove_all(dir, ignored);
  std::filesystem::create_directories(dir, ignored);
  const std::uint16_t port = free_port();
  const std::string address = server_address(spec_.hosts);
  auto server = std::make_unique<ServerProcess>(
      programs_.reactor(), cell.server,
      server_command(prepare_outside(load_outside(definition), cell, file_sets_.of(cell).root, dir, port, address),
                     ground),
      port, outside_patience_s, address);
  if (const auto congestion = cell.options.find(congestion_option); congestion != cell.options.end()) {
    set_congestion_of_listener(server->group(), port, congestion->second);
  }
  return server;
}

KeptConnections Launcher::verify(const Cell& cell) {
  const Ground ground = lay(cell, true);
  const std::unique_ptr<ServerProcess> server = start(cell, ground);
  try {
    return verify_files(
        programs_.reactor(), cell.server, server->port(), file_sets_.of(cell).workload.files,
        [&] { return !server->has_ended(); }, server_address(spec_.hosts));
  } catch (const StartError& error) {
    if (server->has_ended()) throw StartError(std::string(error.what()) + "; the server " + server->exit_reason());
    throw;
  }
}

}  // namespace bakeoff
