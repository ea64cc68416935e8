#include "harness/plan/outside.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "core/toml/strict_toml.h"
#include "harness/plan/inputs.h"

namespace bakeoff {
namespace {

OutsideServer read_outside(const std::filesystem::path& file) {
  TomlDocument document = TomlDocument::load(file);
  const TomlTable root = document.root();
  OutsideServer server;
  server.name = file.stem().string();
  server.title = root.string("title");
  server.programs = root.strings("program");
  for (const std::string& one : server.programs) {
    // The definition is copied into a run's folder, and PATH differs from user to user.
    if (!one.starts_with('/'))
      root.fail("program", "expected whole paths, as \"/usr/bin/webfsd\", got \"" + one + "\"");
  }
  server.package = root.string("package", "");
  server.arguments = root.strings("arguments");
  const auto workers = root.integers("workers", {1, 65536}, {1, 1});
  if (workers.size() != 2) root.fail("workers", "expected the least and the most");
  server.least_workers = static_cast<std::uint32_t>(workers[0]);
  server.most_workers = static_cast<std::uint32_t>(workers[1]);
  server.connections_are_workers = root.boolean("connections_are_workers", false);
  if (const auto files = root.table("files")) {
    for (const std::string& name : files->keys()) server.files[name] = files->string(name);
  }
  if (const auto options = root.table("options")) {
    for (const std::string& key : options->keys()) server.options[key] = options->texts(key);
  }
  document.finish();
  return server;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

bool is_program(const std::string& file) {
  std::error_code error;
  return std::filesystem::is_regular_file(file, error) && access(file.c_str(), X_OK) == 0;
}

bool listens_at(int fd, std::uint16_t port) {
  int listening = 0;
  socklen_t length = sizeof listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 || listening == 0) return false;
  sockaddr_in address{};
  length = sizeof address;
  return getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0 && ntohs(address.sin_port) == port;
}

}  // namespace

std::filesystem::path OutsideServer::program() const {
  for (const std::string& one : programs) {
    if (is_program(one)) return one;
  }
  require_installed({*this});
  return {};
}

bool OutsideServer::is_installed() const { return std::any_of(programs.begin(), programs.end(), is_program); }

std::vector<std::string> missing_packages(const std::vector<OutsideServer>& servers) {
  std::vector<std::string> packages;
  for (const OutsideServer& server : servers) {
    if (!server.is_installed() && !server.package.empty() &&
        std::find(packages.begin(), packages.end(), server.package) == packages.end())
      packages.push_back(server.package);
  }
  return packages;
}

void require_installed(const std::vector<OutsideServer>& servers) {
  std::string names, places, packages;
  for (const OutsideServer& server : servers) {
    if (server.is_installed()) continue;
    names += (names.empty() ? "" : ", ") + server.name;
    if (!server.package.empty()) continue;
    for (const std::string& one : server.programs) places += (places.empty() ? "" : " or ") + one;
  }
  if (names.empty()) return;
  for (const std::string& package : missing_packages(servers)) packages.append(" ").append(package);
  const bool several = names.find(',') != std::string::npos;
  throw StartError(names + (several ? " are" : " is") + " not installed" +
                   (packages.empty() ? "" : "; on Debian: apt-get install" + packages) +
                   (places.empty() ? "" : "; there is no program " + places));
}

std::filesystem::path outside_dir() { return data_dir() / "harness" / "outside"; }

OutsideServer load_outside(const std::string& name) {
  if (is_path(name)) return read_outside(name);
  const std::filesystem::path file = outside_dir() / (name + ".toml");
  if (std::filesystem::exists(file)) return read_outside(file);
  std::string known;
  std::vector<std::string> names;
  for (const OutsideServer& server : list_outside()) {
    known += (known.empty() ? "" : ", ") + server.name;
    names.push_back(server.name);
  }
  const std::string near = nearest_word(name, names);
  throw UsageError("there is no outside server `" + name + "`; " +
                   (near.empty() ? "there are " + known + ", or give a path" : "did you mean `" + near + "`?"));
}

std::vector<OutsideServer> list_outside() {
  std::vector<OutsideServer> servers;
  if (!std::filesystem::is_directory(outside_dir())) return servers;
  for (const auto& entry : std::filesystem::directory_iterator(outside_dir())) {
    if (entry.path().extension() == ".toml") servers.push_back(read_outside(entry.path()));
  }
  std::sort(servers.begin(), servers.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return servers;
}

std::string fill_in(const std::string& text, const std::map<std::string, std::string>& values,
                    const std::string& where) {
  std::string filled;
  std::size_t at = 0;
  for (;;) {
    const std::size_t begin = text.find('@', at);
    const std::size_t end =
        begin == std::string::npos ? begin : text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_-", begin + 1);
    if (begin == std::string::npos) return filled + text.substr(at);
    const bool is_word = end != std::string::npos && text[end] == '@' && end > begin + 1;
    if (!is_word) {
      filled += text.substr(at, begin + 1 - at);
      at = begin + 1;
      continue;
    }
    const std::string word = text.substr(begin + 1, end - begin - 1);
    const auto value = values.find(word);
    if (value == values.end()) throw UsageError(where + ": @" + word + "@ is not a placeholder");
    filled += text.substr(at, begin - at) + value->second;
    at = end + 1;
  }
}

std::vector<std::string> prepare_outside(const OutsideServer& server, const Cell& cell,
                                         const std::filesystem::path& root, const std::filesystem::path& dir,
                                         std::uint16_t port, const std::string& address) {
  const passwd* user = getpwuid(geteuid());
  std::map<std::string, std::string> values = {
      {"root", root.string()},
      {"dir", dir.string()},
      {"address", address.find(':') == std::string::npos ? address : "[" + address + "]"},
      {"port", std::to_string(port)},
      {"workers", std::to_string(cell.workers)},
      {"connections", std::to_string(cell.connections)},
      {"user", user == nullptr ? std::to_string(geteuid()) : user->pw_name}};
  for (const auto& [key, allowed] : server.options) {
    const auto chosen = cell.options.find(key);
    values[key] = chosen == cell.options.end() ? allowed.front() : chosen->second;
  }
  for (const auto& [name, text] : server.files) {
    std::ofstream out(dir / name);
    out << fill_in(text, values, server.name + ".toml: " + name);
    if (!out.flush()) throw StartError("cannot write " + (dir / name).string());
  }
  std::vector<std::string> command = {server.program().string()};
  for (const std::string& argument : server.arguments)
    command.push_back(fill_in(argument, values, server.name + ".toml: arguments"));
  return command;
}

void set_congestion_of_listener(pid_t server, std::uint16_t port, const std::string& congestion) {
  const Descriptor process(static_cast<int>(syscall(SYS_pidfd_open, server, 0)));
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(server) + "/fd", gone)) {
    const Descriptor socket(
        static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), std::stoi(entry.path().filename()), 0)));
    if (socket.get() < 0 || !listens_at(socket.get(), port)) continue;
    if (setsockopt(socket.get(), IPPROTO_TCP, TCP_CONGESTION, congestion.data(),
                   static_cast<socklen_t>(congestion.size())) == 0)
      return;
    throw StartError("cannot set congestion control " + congestion + ": " + std::strerror(errno));
  }
  throw StartError("cannot reach its listening socket to set congestion control " + congestion);
}

std::uint16_t free_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    throw StartError(std::string("cannot find a free port: ") + std::strerror(errno));
  }
  return ntohs(address.sin_port);
}

}  // namespace bakeoff
